import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

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

  readonly next: Effect.Effect<void> = Effect.flatMap(elapsed, (now) => {
    this.#failures = now - this.#since >= 5000 ? 0 : this.#failures + 1
    this.#since = Number.POSITIVE_INFINITY
    return Effect.sleep(Math.min(50 * 2 ** this.#failures, 5000))
  })
}
