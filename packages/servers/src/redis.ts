/**
 * A Redis server for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import * as serverProcess from "./serverProcess.js"

export interface Redis extends serverProcess.ServerProcess {
  readonly host: string
  readonly port: number
}

export type Executable = "redis-server"

export const wanted: debian.Wanted<Executable> = { packages: ["redis-server"], executables: ["redis-server"] }

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/**
 * Starts a server in a temporary folder, which stands for what it has acknowledged when it is started again. When the
 * Scope closes, the server is killed and the folder removed.
 */
export const make = (
  paths: Readonly<Record<Executable, string>>,
  options?: {
    /** Default: a free one. */
    readonly port?: number | undefined
    /** Settings of `redis.conf`, in addition to those that it has here. */
    readonly settings?: Readonly<Record<string, string>> | undefined
  }
): Effect.Effect<Redis, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const port = options?.port ?? (yield* serverProcess.freePort)
    const settings = {
      bind: "127.0.0.1",
      port: String(port),
      dir: directory,
      save: '""',
      appendonly: "yes",
      appendfsync: "always",
      ...options?.settings
    }
    const file = join(directory, "redis.conf")
    const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`)
    yield* Effect.promise(() => writeFile(file, lines.join("")))
    const server = yield* serverProcess.make({
      command: paths["redis-server"],
      args: [file],
      ready: /Ready to accept connections/,
      cwd: directory
    })
    return { ...server, host: "127.0.0.1", port }
  })
