/**
 * A PostgreSQL server for tests.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import * as serverProcess from "./serverProcess.js"

export interface Postgres extends serverProcess.ServerProcess {
  readonly host: string
  readonly port: number
  /** The superuser. */
  readonly user: string
  readonly password: string
  readonly database: string
  /** All of these. */
  readonly url: string
}

export type Executable = "initdb" | "postgres"

export const wanted: debian.Wanted<Executable> = {
  packages: ["postgresql"],
  executables: ["initdb", "postgres"],
  directories: ["/usr/lib/postgresql/*/bin"]
}

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/**
 * Makes a database in a temporary folder and starts a server of it, which demands a password. When the Scope closes, the
 * server is killed and the folder removed. One that `isStandby` can only be read, until it is promoted.
 */
export const make = (
  paths: Readonly<Record<Executable, string>>,
  isStandby = false
): Effect.Effect<Postgres, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const data = join(directory, "data")
    // PostgreSQL refuses to be run by root.
    const user = "postgres"
    const password = "correct horse battery staple"
    yield* makeData(paths, { directory, data, user, password })
    if (isStandby) yield* Effect.promise(() => writeFile(join(data, "standby.signal"), ""))
    const port = yield* serverProcess.freePort
    const settings = {
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: directory,
      // So that a server that is started again stands for what it has acknowledged, though the machine is not to lose power.
      fsync: "off",
      // A standby must have as many as the one that made its data.
      ...(isStandby ? {} : { max_connections: "30" }),
      shared_buffers: "16MB"
    }
    const server = yield* serverProcess.make({
      command: paths.postgres,
      args: ["-D", data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      ready: /ready to accept (read-only )?connections/,
      // A fast shutdown, which ends the connections that there are.
      stopSignal: "SIGINT",
      user
    })
    const url = `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`
    return { ...server, host: "127.0.0.1", port, user, password, database: "postgres", url }
  })

interface Data {
  readonly directory: string
  readonly data: string
  readonly user: string
  readonly password: string
}

/** Makes the data of a new server: the first time by `initdb`, and then as a copy, which takes a fifth of the processor. */
const makeData = (
  paths: Readonly<Record<Executable, string>>,
  { data, directory, password, user }: Data
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const options = ["-U", user, "--auth=scram-sha-256", "--no-sync", "--locale=C"]
    const version = execFileSync(paths.postgres, ["--version"], { encoding: "utf8" })
    const key = createHash("sha256")
      // It belongs to whoever has made it, and others can't read it.
      .update(JSON.stringify([version, options, password, process.getuid?.()]))
      .digest("hex")
      .slice(0, 16)
    const first = join(templates, key)
    if (existsSync(first)) return yield* copy(first, data)
    const pwfile = join(directory, "password")
    yield* Effect.promise(() => writeFile(pwfile, password))
    yield* serverProcess.run({ command: paths.initdb, args: ["-D", data, `--pwfile=${pwfile}`, ...options], user })
    // Others may make it at the same time: whole, and one of them.
    const own = `${first}.${process.pid}.${Math.random()}`
    yield* Effect.promise(() => mkdir(dirname(own), { recursive: true }))
    yield* copy(data, own)
    yield* Effect.promise(() => rename(own, first).catch(() => rm(own, { recursive: true })))
  })

const templates = fileURLToPath(new URL("../build/postgres", import.meta.url))

/** With its owner, who is to run the server. */
const copy = (from: string, to: string): Effect.Effect<void> =>
  serverProcess.run({ command: "cp", args: ["-a", from, to] })
