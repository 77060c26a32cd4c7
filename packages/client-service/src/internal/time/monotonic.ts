import type * as Clock from "effect/Clock"

/**
 * Milliseconds by a clock that nobody sets, to measure how long something takes. What it counts from means nothing. The
 * milliseconds of a `Clock` are for what people read: they go back by a day, or ahead, when somebody sets the clock.
 */
export const monotonic = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
