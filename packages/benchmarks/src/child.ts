import { fork } from "node:child_process"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"

/** A process of its own, which answers with numbers. */
export interface Child {
  readonly next: Effect.Effect<number>
  readonly ask: (request: string) => Effect.Effect<number>
}

/** Runs a module as a child process, for as long as the Scope lives. Its options to Node are those of this process. */
export const spawn = (module: URL, ...args: ReadonlyArray<string>): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.gen(function* () {
    const answers = yield* Mailbox.make<number, Error>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(module, args)),
      (child) =>
        Effect.async<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill()
        })
    )
    child.on("message", (answer) => answers.unsafeOffer(Number(answer)))
    child.on("error", (error) => answers.unsafeDone(Exit.fail(error)))
    child.on("exit", (code) => answers.unsafeDone(Exit.fail(new Error(`a child process exited with code ${code}`))))

    const next = Effect.orDie(answers.take)
    return {
      next,
      ask: (request) =>
        Effect.zipRight(
          Effect.sync(() => child.send(request)),
          next
        )
    }
  })
