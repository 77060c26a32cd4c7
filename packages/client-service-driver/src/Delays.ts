/**
 * How long to wait between attempts at what is beside a connection, such as a subscription or a channel: a service has a
 * `RetryPolicy` for its own.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Refusal from "./Refusal.js"

/**
 * Delays between attempts, which begin anew after one that has held for 5 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delays {
  /** How many have failed in a row. The loss of one that has held is the first. */
  readonly failures: number
  /** What is attempted is up from now on. */
  readonly began: Effect.Effect<void>
  /** After a failure, warns of it, as `Refusal.warn` does, and gives how long to wait. */
  readonly next: (what: string, error: Error) => Effect.Effect<Duration.Duration>
}

/**
 * Milliseconds by a clock that nobody sets, as somebody may the wall clock.
 *
 * @since 0.1.0
 * @category getters
 */
export const monotonic = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)

/**
 * `monotonic`, by the clock of whoever asks.
 *
 * @since 0.1.0
 * @category getters
 */
export const monotonicMillis: Effect.Effect<number> = Effect.map(Effect.clock, monotonic)

/**
 * Makes delays of which each is any up to a most, which is 100 ms at first, and twice as long after each failure, up to 10
 * seconds.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Delays } from "effect-client-service-driver"
 *
 * const kept = <A, R>(what: string, open: Effect.Effect<A, Error, R>, lost: (opened: A) => Effect.Effect<never, Error>) => {
 *   const delays = Delays.make()
 *   const once = open.pipe(Effect.zipLeft(delays.began), Effect.flatMap(lost))
 *   return Effect.forever(
 *     Effect.catchAll(once, (error) => Effect.flatMap(delays.next(what, error), (delay) => Effect.sleep(delay)))
 *   )
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): Delays => {
  let failures = 0
  let since = Number.POSITIVE_INFINITY
  return {
    get failures() {
      return failures
    },
    // Several may share one, such as subscriptions on a connection.
    began: Effect.map(monotonicMillis, (now) => {
      since = Math.min(since, now)
    }),
    next: (what, error) =>
      Effect.gen(function* () {
        const now = yield* monotonicMillis
        failures = now - since >= 5000 ? 1 : failures + 1
        since = Number.POSITIVE_INFINITY
        const most = Math.min(10_000, 100 * 2 ** (failures - 1))
        yield* Refusal.warn(what, error, failures)
        return Duration.millis(yield* Random.nextIntBetween(0, most + 1))
      })
  }
}
