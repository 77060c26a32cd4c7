/**
 * Redis servers that sentinels watch over, for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import type * as redis from "./redis.js"
import * as serverProcess from "./serverProcess.js"

export interface Sentinel extends serverProcess.ServerProcess {
  readonly host: string
  readonly port: number
}

/**
 * Starts a sentinel, which watches over a master of a name and promotes its replica soon after it is gone, if `quorum`
 * sentinels say so. When the Scope closes, it is killed and its folder removed.
 */
export const make = (
  paths: Readonly<Record<redis.Executable, string>>,
  options: {
    readonly name: string
    readonly master: number
    readonly quorum: number
    /** Settings of `sentinel.conf`, in addition to those that it has here. */
    readonly settings?: ReadonlyArray<string> | undefined
  }
): Effect.Effect<Sentinel, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const port = yield* serverProcess.freePort
    const { master, name, quorum, settings = [] } = options
    const lines = [
      "bind 127.0.0.1",
      `port ${port}`,
      `dir ${directory}`,
      `sentinel monitor ${name} 127.0.0.1 ${master} ${quorum}`,
      `sentinel down-after-milliseconds ${name} 300`,
      `sentinel failover-timeout ${name} 3000`,
      ...settings
    ]
    const file = join(directory, "sentinel.conf")
    yield* Effect.promise(() => writeFile(file, lines.map((line) => `${line}\n`).join("")))
    const server = yield* serverProcess.make({
      command: paths["redis-server"],
      args: [file, "--sentinel"],
      ready: /\+monitor master/,
      cwd: directory
    })
    return { ...server, host: "127.0.0.1", port }
  })
