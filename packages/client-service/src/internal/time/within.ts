import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Fork } from "../fork.js"
import type { Changes } from "./changes.js"
import { deadline } from "./turn.js"
import { wait } from "./wait.js"

/**
 * Waits until a condition holds that is looked at at each change, but no longer than so many milliseconds, and tells
 * whether it does. What comes about within a yield takes no timer.
 */
export const within = (
  fork: Fork<never>,
  millis: number,
  holds: () => boolean,
  changes: Pick<Changes, "subscribe">
): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    if (holds()) return Effect.succeed(true)
    if (millis <= 0) return Effect.succeed(false)
    return Effect.flatMap(Effect.yieldNow(), () => waitFor(fork, millis, holds, changes))
  })

/** Waits until a fiber has ended, likewise, and gives its exit. */
export const endWithin = <A, E>(
  fork: Fork<never>,
  millis: number,
  fiber: Fiber.RuntimeFiber<A, E>
): Effect.Effect<Exit.Exit<A, E> | null> =>
  Effect.map(
    within(fork, millis, () => fiber.unsafePoll() !== null, {
      subscribe: (ended) => {
        fiber.addObserver(ended)
        return () => fiber.removeObserver(ended)
      }
    }),
    () => fiber.unsafePoll()
  )

/** Has a callback called when so many milliseconds have passed, unless that is taken back. */
export const after = (fork: Fork<never>, millis: number, callback: () => void): (() => void) => {
  if (millis === Number.POSITIVE_INFINITY) return () => {}
  const timer = fork.now(deadline(millis))
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
  changes: Pick<Changes, "subscribe">
): Effect.Effect<boolean> =>
  wait((resume) => {
    if (holds()) {
      resume(Effect.succeed(true))
      return undefined
    }
    const settle = () => {
      forget()
      resume(Effect.sync(holds))
    }
    const forget = () => {
      unsubscribe()
      cancel()
    }
    const unsubscribe = changes.subscribe(() => {
      if (holds()) settle()
    })
    const cancel = after(fork, millis, settle)
    return { cancel: Effect.sync(forget) }
  })
