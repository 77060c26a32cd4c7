import type * as Clock from "effect/Clock"

/** Milliseconds by a clock that nobody sets, as somebody may the wall clock. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
