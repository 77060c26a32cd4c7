/**
 * A pooler in front of a PostgreSQL server, for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import type { Postgres } from "./postgres.js"
import * as serverProcess from "./serverProcess.js"

export type Executable = "pgbouncer"

export const wanted: debian.Wanted<Executable> = { packages: ["pgbouncer"], executables: ["pgbouncer"] }

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/**
 * Starts a pooler that lends its connections for a session, or for a transaction at a time, and gives the server as it is
 * through it, which demands its password. When the Scope closes, it is killed.
 */
export const make = (
  paths: Readonly<Record<Executable, string>>,
  server: Postgres,
  mode: "session" | "transaction"
): Effect.Effect<Postgres, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const port = yield* serverProcess.freePort
    const file = join(directory, "pgbouncer.ini")
    const users = join(directory, "users.txt")
    const lines = [
      "[databases]",
      `* = host=${server.host} port=${server.port} user=${server.user} password='${server.password}'`,
      "[pgbouncer]",
      "auth_type = scram-sha-256",
      `auth_file = ${users}`,
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      `pool_mode = ${mode}`
    ]
    yield* Effect.promise(() => writeFile(users, `"${server.user}" "${server.password}"\n`))
    yield* Effect.promise(() => writeFile(file, `${lines.join("\n")}\n`))
    const pooler = yield* serverProcess.make({
      command: paths.pgbouncer,
      args: [file],
      ready: /process up/,
      user: "postgres"
    })
    return { ...server, ...pooler, port, url: server.url.replace(`:${server.port}/`, `:${port}/`) }
  })
