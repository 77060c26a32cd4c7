import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Fork } from "./fork.js"

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

/** Has a callback called once when something may have changed, and gives what takes that back. */
export type Subscribe = (wake: () => void) => () => void

/**
 * Waits until a condition holds that is looked at at each change, but no longer than so many milliseconds, and tells
 * whether it does. What comes about within a yield takes no timer.
 */
export const within = (
  fork: Fork<never>,
  millis: number,
  holds: () => boolean,
  subscribe: Subscribe
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    if (holds()) return Effect.succeed(true)
    if (millis <= 0) return Effect.succeed(false)
    return Effect.flatMap(Effect.yieldNow(), () => waitFor(fork, millis, holds, subscribe))
  })

/** Whether a fiber has ended is a condition that changes once. */
export const whenEnded =
  (fiber: Fiber.RuntimeFiber<unknown, unknown>): Subscribe =>
  (wake) => {
    fiber.addObserver(wake)
    return () => fiber.removeObserver(wake)
  }

// The timer alone has a fiber of its own. A race of two Effects would have three, for every attempt.
const waitFor = (
  fork: Fork<never>,
  millis: number,
  holds: () => boolean,
  subscribe: Subscribe
): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    if (holds()) return resume(Effect.succeed(true))
    const look = () => {
      if (holds()) settle()
      else unsubscribe = subscribe(look)
    }
    const settle = () => {
      forget()
      resume(Effect.succeed(holds()))
    }
    const forget = () => {
      unsubscribe()
      timer?.removeObserver(settle)
      timer?.unsafeInterruptAsFork(FiberId.none)
    }
    let unsubscribe = subscribe(look)
    const timer = millis === Number.POSITIVE_INFINITY ? undefined : fork.now(sleep(millis))
    timer?.addObserver(settle)
    return Effect.sync(forget)
  })
