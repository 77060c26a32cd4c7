import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

// The longest timer that JavaScript has. Effect takes a longer sleep for one without end.
const longestTimer = 2 ** 31 - 1

/**
 * Sleeps for any number of milliseconds. For none at all it still yields, but takes no timer, whose least is a
 * millisecond.
 */
export const sleep = (millis: number): Effect.Effect<void> => {
  if (millis <= 0) return Effect.yieldNow()
  if (millis === Number.POSITIVE_INFINITY) return Effect.never
  if (millis <= longestTimer) return Effect.sleep(Duration.millis(millis))
  return Effect.zipRight(
    Effect.sleep(Duration.millis(longestTimer)),
    Effect.suspend(() => sleep(millis - longestTimer))
  )
}

/**
 * Waits for an Effect that completes when a condition holds, but no longer than so many milliseconds, and tells whether
 * it does. What comes about within a yield takes no timer.
 */
export const within = (millis: number, holds: () => boolean, wait: Effect.Effect<unknown>): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    if (holds()) return Effect.succeed(true)
    if (millis <= 0) return Effect.succeed(false)
    if (millis === Number.POSITIVE_INFINITY) return Effect.as(wait, true)
    return Effect.flatMap(Effect.yieldNow(), () =>
      holds() ? Effect.succeed(true) : Effect.raceFirst(Effect.as(wait, true), Effect.as(sleep(millis), false))
    )
  })
