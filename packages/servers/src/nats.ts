/**
 * A NATS server for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import * as serverProcess from "./serverProcess.js"

export interface Nats extends serverProcess.ServerProcess {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Changes the password from the next start on. */
  readonly setPassword: (password: string) => Effect.Effect<void>
}

export type Executable = "nats-server"

export const wanted: debian.Wanted<Executable> = { packages: ["nats-server"], executables: ["nats-server"] }

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/**
 * Starts a server that demands a password. When the Scope closes, the server is killed and its folder removed.
 */
export const make = (paths: Readonly<Record<Executable, string>>): Effect.Effect<Nats, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const configuration = join(directory, "nats.conf")
    const port = yield* serverProcess.freePort
    const user = "alice"
    const password = "correct horse battery staple"
    const setPassword = (password: string) =>
      Effect.promise(() =>
        writeFile(configuration, `listen: 127.0.0.1:${port}\nauthorization: ${JSON.stringify({ user, password })}\n`)
      )
    yield* setPassword(password)
    const server = yield* serverProcess.make({
      command: paths["nats-server"],
      args: ["-c", configuration],
      ready: /Server is ready/
    })
    return { ...server, host: "127.0.0.1", port, user, password, setPassword }
  })
