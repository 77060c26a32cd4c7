import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Signal } from "./connectable.js"

/** Runs what ends when a connection is lost, and signals the loss then; but not when it is interrupted from outside. */
export const untilLost = <E, R>(
  endpoint: string,
  lost: () => Effect.Effect<unknown, E, R>,
  signal: Signal<E>
): Effect.Effect<void, never, Exclude<R, Scope.Scope>> =>
  Effect.suspend(lost).pipe(
    // A Scope of its own: that of the connection would release what it acquired while it still runs.
    Effect.scoped,
    Effect.exit,
    // It may be forked where nothing is interrupted, and has to end when the Scope closes.
    Effect.interruptible,
    Effect.flatMap((exit) => {
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
      signal.lost(
        Option.getOrUndefined(Cause.failureOption(cause)),
        Exit.isSuccess(exit) ? "what tells of its loss has completed" : undefined
      )
      return Cause.isDie(cause)
        ? Effect.logError(`${endpoint}: what ends with the connection died`, cause)
        : Effect.void
    })
  )
