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
  if (millis <= longestTimer) return Effect.sleep(Duration.millis(millis))
  return Effect.zipRight(
    Effect.sleep(Duration.millis(longestTimer)),
    Effect.suspend(() => sleep(millis - longestTimer))
  )
}
