/**
 * A Mosquitto server (MQTT) for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import * as serverProcess from "./serverProcess.js"

export interface Mosquitto extends serverProcess.ServerProcess {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Changes the password from the next start on. */
  readonly setPassword: (password: string) => Effect.Effect<void>
}

export type Executable = "mosquitto" | "mosquitto_passwd"

export const wanted: debian.Wanted<Executable> = {
  packages: ["mosquitto"],
  executables: ["mosquitto", "mosquitto_passwd"]
}

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/**
 * Starts a server that demands a password. When the Scope closes, the server is killed and its folder removed.
 */
export const make = (paths: Readonly<Record<Executable, string>>): Effect.Effect<Mosquitto, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const passwords = join(directory, "passwords")
    const port = yield* serverProcess.freePort
    // Where root runs it, it becomes the user of its package, who then has to own its files.
    const system = "mosquitto"
    const user = "alice"
    const password = "correct horse battery staple"
    const setPassword = (password: string) =>
      serverProcess.run({
        command: paths.mosquitto_passwd,
        args: ["-b", "-c", passwords, user, password],
        user: system
      })
    yield* setPassword(password)
    const settings = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous false",
      `password_file ${passwords}`,
      "log_dest stderr"
    ]
    const configuration = join(directory, "mosquitto.conf")
    yield* Effect.promise(() => writeFile(configuration, settings.join("\n")))
    const server = yield* serverProcess.make({
      command: paths.mosquitto,
      args: ["-c", configuration],
      ready: /mosquitto version \S+ running/,
      user: system
    })
    return { ...server, host: "127.0.0.1", port, user, password, setPassword }
  })
