import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Forks so many waiters, and lets them run until all of them wait. */
export const forkWaiters = <A, E>(
  count: number,
  wait: () => Effect.Effect<A, E>
): Effect.Effect<Array<Fiber.RuntimeFiber<A, E>>> =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.RuntimeFiber<A, E>> = []
    yield* Effect.whileLoop({
      while: () => fibers.length < count,
      body: () => Effect.forkDaemon(wait()),
      step: (fiber) => fibers.push(fiber)
    })
    yield* Effect.yieldNow()
    return fibers
  })

/** Forks so many waiters, has them woken, and waits until all of them have ended. */
export const forkAndWake = <A, E>(
  count: number,
  wait: () => Effect.Effect<A, E>,
  wake: Effect.Effect<unknown>
): Effect.Effect<void, E> =>
  Effect.gen(function* () {
    const fibers = yield* forkWaiters(count, wait)
    yield* wake
    yield* Effect.forEach(fibers, Fiber.join, { discard: true })
  })
