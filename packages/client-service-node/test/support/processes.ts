import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Deferred, Effect, type Scope } from "effect"
import { ChildProcessEndpoint, type ChildProcessError } from "effect-client-service-node"
import { until } from "./turns.js"

export interface Listed {
  readonly pid: number
  readonly group: number
  readonly command: string
}

/** The processes that there are, but for those that have ended and were not waited for. */
export const running = (): ReadonlyArray<Listed> =>
  execFileSync("ps", ["-A", "-ww", "-o", "pid=,pgid=,stat=,args="], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => {
      const [, pid, group, state = "", command = ""] = /^ *(\d+) +(\d+) +(\S+) +(.*)$/.exec(line) ?? []
      return pid === undefined || state.startsWith("Z") ? [] : [{ pid: Number(pid), group: Number(group), command }]
    })

export const inGroup = (group: number): ReadonlyArray<Listed> => running().filter((listed) => listed.group === group)

/** Waits until nobody is left in a group. */
export const groupGone = (group: number): Effect.Effect<void> => until(() => inGroup(group).length === 0)

/** Runs a script by a shell. */
export const shell = (script: string, options: ChildProcessEndpoint.Options = {}) =>
  ChildProcessEndpoint.make("sh", ["-c", script], { killTimeout: "5 seconds", ...options })

/** Runs a script by Node.js, with all of its own modules at hand. */
export const node = (script: string, options: ChildProcessEndpoint.Options = {}) =>
  ChildProcessEndpoint.make(process.execPath, ["-e", script], { killTimeout: "5 seconds", ...options })

export type ProcessEndpoint = ReturnType<typeof shell>

/** Makes one connection, and gives its loss too. */
export const connect = (endpoint: ProcessEndpoint) =>
  Effect.gen(function* () {
    const loss = yield* Deferred.make<ChildProcessError.ChildProcessError | undefined>()
    const transport = yield* endpoint.connect({ lost: (error) => Deferred.unsafeDone(loss, Effect.succeed(error)) })
    return { transport, loss: Deferred.await(loss), isLost: Deferred.isDone(loss) }
  })

/** A folder of its own. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "process-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)
