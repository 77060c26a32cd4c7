import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { wait } from "./wait.js"

/**
 * Gives what comes of the first of two Effects that ends, and interrupts the other.
 *
 * It is `Effect.raceFirst` without a gap: that one can be interrupted between the moment at which it makes its two fibers and
 * the one at which it starts them, and then waits for ever for them to end.
 */
export const firstOf = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  that: Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.fork(restore(self)), (one) =>
      Effect.flatMap(Effect.fork(restore(that)), (other) =>
        restore(
          wait<A | A2, E | E2, never>((resume) => {
            one.addObserver(resume)
            other.addObserver(resume)
            return undefined
          })
        ).pipe(Effect.ensuring(Fiber.interruptAll([one, other])))
      )
    )
  )
