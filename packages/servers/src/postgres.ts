/**
 * A PostgreSQL server for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
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
    const pwfile = join(directory, "password")
    yield* Effect.promise(() => writeFile(pwfile, password))
    yield* serverProcess.run({
      command: paths.initdb,
      args: ["-D", data, "-U", user, "--auth=scram-sha-256", `--pwfile=${pwfile}`, "--no-sync", "--locale=C"],
      user
    })
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
