import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Fork } from "../fork.js"
import { sleep } from "./sleep.js"
import { wait } from "./wait.js"

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

/** Has a callback called when so many milliseconds have passed, unless that is taken back. */
export const after = (fork: Fork<never>, millis: number, callback: () => void): (() => void) => {
  if (millis === Number.POSITIVE_INFINITY) return () => {}
  const timer = fork.now(sleep(millis))
  timer.addObserver(callback)
  return () => {
    timer.removeObserver(callback)
    timer.unsafeInterruptAsFork(FiberId.none)
  }
}

// The timer alone has a fiber of its own. A race of two Effects would have three, for every attempt.
const waitFor = (
  fork: Fork<never>,
  millis: number,
  holds: () => boolean,
  subscribe: Subscribe
): Effect.Effect<boolean> =>
  wait((resume) => {
    if (holds()) {
      resume(Effect.succeed(true))
      return { cancel: Effect.void }
    }
    const look = () => {
      if (holds()) settle()
      else unsubscribe = subscribe(look)
    }
    const settle = () => {
      forget()
      resume(Effect.sync(holds))
    }
    const forget = () => {
      unsubscribe()
      cancel()
    }
    let unsubscribe = subscribe(look)
    const cancel = after(fork, millis, settle)
    return { cancel: Effect.sync(forget) }
  })
