import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { turns } from "./turns.js"

/** Fails the test if, until its Scope closes, anything is thrown that nobody catches. */
export const nothingUncaught = Effect.acquireRelease(
  Effect.sync(() => {
    const uncaught: Array<unknown> = []
    const listener = (error: unknown) => uncaught.push(error)
    process.on("uncaughtException", listener)
    process.on("unhandledRejection", listener)
    return { uncaught, listener }
  }),
  ({ listener, uncaught }) =>
    // What was destroyed last tells its error in the next turns.
    turns(2).pipe(
      Effect.zipRight(
        Effect.sync(() => {
          process.off("uncaughtException", listener)
          process.off("unhandledRejection", listener)
          expect(uncaught).toEqual([])
        })
      )
    )
)
