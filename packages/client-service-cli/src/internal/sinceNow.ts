import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Gives what tells how many milliseconds have passed since now, though somebody sets the clock. */
export const sinceNow: Effect.Effect<Effect.Effect<number>> = Effect.map(Clock.currentTimeNanos, (begin) =>
  Effect.map(Clock.currentTimeNanos, (now) => Number((now - begin) / 1_000_000n))
)
