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
   * Runs an Effect once there is a place, and gives that back in the end; or runs `late` if there is none within `maxWait`. The
   * Effect is given what is left of that, for what it waits for itself.
   */
  readonly run: <A, E, R, E2, R2>(
    f: (left: UseOptions) => Effect.Effect<A, E, R>,
    maxWait: Duration.Duration,
    late: Effect.Effect<never, E2, R2>
  ) => Effect.Effect<A, E | E2, R | R2>
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
 * const session = places.run(() => Effect.succeed("mine"), Duration.seconds(2), Effect.fail("all are taken"))
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

  /** Waits for a place, from this step on, and tells whether there is one. */
  const queued = (maxWait: Duration.Duration) => {
    const told = Deferred.unsafeMake<boolean>(FiberId.none)
    let hasPlace = free > 0
    const tell = (isPlace: boolean): void => {
      waiting.delete(take)
      Deferred.unsafeDone(told, Effect.succeed(isPlace))
    }
    const take = (): void => {
      hasPlace = true
      tell(true)
    }
    const leave = (): void => {
      waiting.delete(take)
      if (hasPlace) giveBack()
    }
    if (hasPlace) {
      free -= 1
      return { isGiven: true, leave, place: Effect.succeed(true) }
    }
    if (Duration.isZero(maxWait)) return { isGiven: false, leave, place: Effect.succeed(false) }
    waiting.add(take)
    if (!Duration.isFinite(maxWait)) return { isGiven: false, leave, place: Deferred.await(told) }
    const giveUp = Effect.sync(() => {
      if (!hasPlace) tell(false)
    })
    // No race of Effect's: interrupted between the making of its fibers and their start, it waits for them for ever.
    const place = Effect.acquireUseRelease(
      Effect.forkDaemon(Effect.interruptible(Effect.zipRight(Effect.sleep(maxWait), giveUp))),
      () => Deferred.await(told),
      (fiber) => Fiber.interruptFork(fiber)
    )
    return { isGiven: false, leave, place }
  }

  return {
    run: <A, E, R, E2, R2>(
      f: (left: UseOptions) => Effect.Effect<A, E, R>,
      maxWait: Duration.Duration,
      late: Effect.Effect<never, E2, R2>
    ) => {
      const isBounded = Duration.isFinite(maxWait)
      const now = isBounded ? elapsed : Effect.succeed(0)
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(now, (since) => {
          const { isGiven, leave, place } = queued(maxWait)
          const all: UseOptions = isBounded ? { maxWait } : {}
          const left =
            isGiven || !isBounded
              ? Effect.succeed(all)
              : Effect.map(now, (now) => ({ maxWait: Math.max(0, Duration.toMillis(maxWait) - (now - since)) }))
          const inPlace = Effect.flatMap(
            place,
            (isPlace): Effect.Effect<A, E | E2, R | R2> => (isPlace ? Effect.flatMap(left, f) : late)
          )
          return Effect.ensuring(restore(inPlace), Effect.sync(leave))
        })
      )
    }
  }
}

// Milliseconds by a clock that nobody sets.
const elapsed = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))
