import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Refusal from "effect-client-service-driver/Refusal"

// Milliseconds by a clock that nobody sets.
const elapsed = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** Delays between attempts, which begin anew after one that has held for a while. */
export class Delays {
  #failures = 0
  #since = Number.POSITIVE_INFINITY

  /** What is attempted has begun to be up. */
  readonly began: Effect.Effect<void> = Effect.map(elapsed, (now) => {
    this.#since = now
  })

  /** Waits after a failure, and tells of the first of those in a row, and then of fewer and fewer. */
  next(what: string, error: Error): Effect.Effect<void> {
    return Effect.flatMap(elapsed, (now) => {
      this.#failures = now - this.#since >= 5000 ? 0 : this.#failures + 1
      this.#since = Number.POSITIVE_INFINITY
      return Effect.zipRight(
        Refusal.warn(what, error, this.#failures),
        Effect.sleep(Math.min(50 * 2 ** this.#failures, 5000))
      )
    })
  }
}
