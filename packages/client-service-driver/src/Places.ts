/**
 * How many of something callers may have at a time, such as connections of their own.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { UseOptions } from "effect-client-service/ClientService"

/**
 * So many places. Those who find none free wait in turn, and leave nothing behind if they are interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Places {
  /**
   * Runs an Effect once there is a place, and gives that back in the end. Fails with what `late` gives if there is none within
   * `maxWait`. The Effect is given what is left of that, for what it waits for itself.
   */
  readonly run: <A, E, R, E2>(
    f: (left: UseOptions) => Effect.Effect<A, E, R>,
    maxWait: Duration.Duration,
    late: () => E2
  ) => Effect.Effect<A, E | E2, R>
}

/**
 * Makes so many places, which are all free.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Places } from "effect-client-service-driver"
 *
 * const places = Places.make(10)
 *
 * const session = places.run(() => Effect.succeed("mine"), Duration.seconds(2), () => "all are taken" as const)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (count: number): Places => {
  const waiting = new Set<() => void>()
  let free = count
  const giveBack = (): void => {
    const [next] = waiting
    if (next === undefined) free += 1
    else next()
  }

  /** Waits for a place, from this step on. */
  const queued = <E>(maxWait: Duration.Duration, late: () => E) => {
    const told = Deferred.unsafeMake<void, E>(FiberId.none)
    let hasPlace = free > 0
    const take = (): void => {
      hasPlace = true
      waiting.delete(take)
      Deferred.unsafeDone(told, Effect.void)
    }
    const leave = (): void => {
      waiting.delete(take)
      if (hasPlace) giveBack()
    }
    const giveUp = Effect.suspend(() => {
      waiting.delete(take)
      return hasPlace ? Effect.void : Deferred.failSync(told, late)
    })
    if (hasPlace) {
      free -= 1
      Deferred.unsafeDone(told, Effect.void)
      return { isGiven: true, leave, place: Deferred.await(told) }
    }
    if (Duration.isZero(maxWait)) return { isGiven: false, leave, place: Effect.failSync(late) }
    waiting.add(take)
    if (!Duration.isFinite(maxWait)) return { isGiven: false, leave, place: Deferred.await(told) }
    // No race of Effect's: interrupted between the making of its fibers and their start, it waits for them for ever.
    const place = Effect.acquireUseRelease(
      Effect.forkDaemon(Effect.interruptible(Effect.zipRight(Effect.sleep(maxWait), giveUp))),
      () => Deferred.await(told),
      (fiber) => Fiber.interruptFork(fiber)
    )
    return { isGiven: false, leave, place }
  }

  return {
    run: (f, maxWait, late) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(elapsed, (since) => {
          const { isGiven, leave, place } = queued(maxWait, late)
          const all: UseOptions = Duration.isFinite(maxWait) ? { maxWait } : {}
          const left =
            isGiven || !Duration.isFinite(maxWait)
              ? Effect.succeed(all)
              : Effect.map(elapsed, (now) => ({ maxWait: Math.max(0, Duration.toMillis(maxWait) - (now - since)) }))
          return restore(Effect.flatMap(Effect.zipRight(place, left), f)).pipe(Effect.ensuring(Effect.sync(leave)))
        })
      )
  }
}

// Milliseconds by a clock that nobody sets.
const elapsed = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))
