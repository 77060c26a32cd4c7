/**
 * How long to wait before the next attempt, and when to give up.
 *
 * A retry policy is a `Schedule` whose input is the failure. Its delays count from the failure; it gives up when it is
 * done. Any `Schedule` that takes any input will do, and the combinators of `Schedule` work on all of them.
 *
 * A service starts its policy afresh at `start` and after each connection that stayed up for `resetAfter`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { dual } from "effect/Function"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import * as InvalidOption from "./InvalidOption.js"
import * as Validate from "./internal/options.js"
import { whileInput } from "./internal/service/whileInput.js"

/**
 * What a policy is told of a failed attempt or a lost connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionFailure<out E> {
  /** How many there have been in a row: 1 for the first. */
  readonly failures: number
  readonly cause: Cause.Cause<E>
  /**
   * How long that row has gone on: from when the connection was lost or, if it began with an attempt, from when that attempt
   * was begun, until this failure. Zero for a loss that is the first. A connection that was lost before `resetAfter` is within
   * the row, with the time that it was up. It is not measured by the wall clock, which somebody may set.
   */
  readonly elapsed: Duration.Duration
}

/**
 * A schedule of the delays before each attempt. When it is done, the service gives up.
 *
 * @since 0.1.0
 * @category models
 */
export type RetryPolicy<E, R = never> = Schedule.Schedule<unknown, ConnectionFailure<E>, R>

/**
 * A policy in the form of options, as those of `Effect.retry`. The service gives up when any of them says so.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<in E, out R = never> {
  /** The delays. Default `fullJitter()`. */
  readonly schedule?: RetryPolicy<E, R> | undefined
  /**
   * Whether to try again after an error. It is asked for each error of a failure; a failure without an error, such as a
   * defect, is tried again. If it throws or dies, the service logs that and tries again as its default policy says.
   */
  readonly while?: ((error: E) => boolean | Effect.Effect<boolean, never, R>) | undefined
  /** How many times to try again after failures in a row: an integer of at least 0. Default: as `schedule` says. */
  readonly times?: number | undefined
}

/**
 * Makes a policy of a function from the failures in a row (1 for the first) to the delay. It never gives up.
 *
 * If the function throws, or returns a delay that is `NaN`, negative or infinite, the service logs that and waits as
 * its default policy says.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "effect-client-service"
 *
 * const linear = RetryPolicy.fromFunction((failures) => `${Math.min(failures, 10)} seconds`)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromFunction = (f: (failures: number) => Duration.DurationInput): RetryPolicy<unknown> =>
  stateless(({ failures }) => Effect.sync(() => delayMillis("RetryPolicy.fromFunction", "delay", f(failures))))

/**
 * Twisted's `backoffPolicy`: waits for `min(initialDelay * factor ** (failures - 1), maxDelay)`, and a jitter on top.
 *
 * The jitter does not grow with the delay, so after a long outage it spreads many clients less well than `fullJitter`.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const backoff = (options?: {
  /** The first delay, or `maxDelay` if that is shorter. Default 1 second. */
  readonly initialDelay?: Duration.DurationInput | undefined
  /** The longest delay, without its jitter. Default 60 seconds. */
  readonly maxDelay?: Duration.DurationInput | undefined
  /** How many times longer each delay is than the one before, at least 1. Default 1.5. */
  readonly factor?: number | undefined
  /** Added to a delay, and drawn for every one. Default: uniform from 0 to 1 second. */
  readonly jitter?: Effect.Effect<Duration.DurationInput> | undefined
}): RetryPolicy<unknown> => {
  const where = "RetryPolicy.backoff"
  const delay = ladder(where, {
    initialDelay: options?.initialDelay ?? "1 second",
    maxDelay: options?.maxDelay ?? "60 seconds",
    factor: options?.factor ?? 1.5
  })
  const jitter = options?.jitter ?? Random.nextRange(0, 1000)
  return stateless(({ failures }) =>
    Effect.map(jitter, (jitter) => delay(failures) + delayMillis(where, "jitter", jitter))
  )
}

/**
 * Waits for a time that is uniform from 0 to `min(initialDelay * factor ** (failures - 1), maxDelay)`. It is the default
 * policy: it spreads clients that lost their server at the same time, from the first delay on.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const fullJitter = (options?: {
  /** The upper bound of the first delay, or `maxDelay` if that is shorter. Default 500 milliseconds. */
  readonly initialDelay?: Duration.DurationInput | undefined
  /** The longest delay. Default 30 seconds. */
  readonly maxDelay?: Duration.DurationInput | undefined
  /** How many times higher each bound is than the one before, at least 1. Default 2. */
  readonly factor?: number | undefined
}): RetryPolicy<unknown> => {
  const bound = ladder("RetryPolicy.fullJitter", {
    initialDelay: options?.initialDelay ?? "500 millis",
    maxDelay: options?.maxDelay ?? "30 seconds",
    factor: options?.factor ?? 2
  })
  return stateless(({ failures }) => Random.nextRange(0, bound(failures)))
}

/**
 * Waits for a time that is uniform from 0 to `elapsed`, which is how long the connection has been away: from 0 to
 * `initialDelay` while that is longer, and to `maxDelay` at most. So a service whose server is away for longer than
 * `initialDelay` is away for twice as long at most, besides what its attempts take, and mostly for much less; and services that
 * lost their server at the same time stay as spread as the outage is long.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const proportional = (options?: {
  /** The upper bound of the first delays, or `maxDelay` if that is shorter. More than zero. Default 500 milliseconds. */
  readonly initialDelay?: Duration.DurationInput | undefined
  /** The longest delay. More than zero. Default 30 seconds. */
  readonly maxDelay?: Duration.DurationInput | undefined
}): RetryPolicy<unknown> => {
  const where = "RetryPolicy.proportional"
  const initialDelay = Validate.positiveDuration(where, "initialDelay", options?.initialDelay ?? "500 millis")
  const maxDelay = Validate.positiveDuration(where, "maxDelay", options?.maxDelay ?? "30 seconds")
  const { initial, max } = bounds(where, { initialDelay, maxDelay })
  return stateless(({ elapsed }) => Random.nextRange(0, Math.min(Math.max(initial, Duration.toMillis(elapsed)), max)))
}

/**
 * Waits for a time that is uniform from `initialDelay` to three times the delay before, and `maxDelay` at most.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const decorrelatedJitter = (options?: {
  /** The shortest delay, or `maxDelay` if that is shorter. Default 500 milliseconds. */
  readonly initialDelay?: Duration.DurationInput | undefined
  /** The longest delay. Default 30 seconds. */
  readonly maxDelay?: Duration.DurationInput | undefined
}): RetryPolicy<unknown> => {
  const { initial, max } = bounds("RetryPolicy.decorrelatedJitter", {
    initialDelay: options?.initialDelay ?? "500 millis",
    maxDelay: options?.maxDelay ?? "30 seconds"
  })
  return fromDelays(initial, (_, previous) =>
    Effect.map(Random.nextRange(initial, Math.max(initial, previous * 3)), (delay) => Math.min(delay, max))
  )
}

/**
 * Ends a policy with the first failure that has an error which does not satisfy the predicate: a password that is wrong
 * now will be wrong in a minute. Failures without an error, such as defects, do not end it. The policy itself is asked
 * only if it goes on.
 *
 * A service takes such a predicate as an option too: `retryPolicy: { while: (error) => ... }`. This is for a policy that
 * is combined further.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "effect-client-service"
 *
 * type LoginError = { readonly _tag: "WrongPassword" } | { readonly _tag: "Busy" }
 *
 * const policy = RetryPolicy.fullJitter().pipe(
 *   RetryPolicy.whileError((error: LoginError | { readonly _tag: string }) => error._tag !== "WrongPassword")
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileError: {
  <E, R2 = never>(
    predicate: (error: E) => boolean | Effect.Effect<boolean, never, R2>
  ): <R>(self: RetryPolicy<E, R>) => RetryPolicy<E, R | R2>
  <E, R, R2 = never>(
    self: RetryPolicy<E, R>,
    predicate: (error: E) => boolean | Effect.Effect<boolean, never, R2>
  ): RetryPolicy<E, R | R2>
} = /* @__PURE__ */ dual(
  2,
  <E, R, R2>(
    self: RetryPolicy<E, R>,
    predicate: (error: E) => boolean | Effect.Effect<boolean, never, R2>
  ): RetryPolicy<E, R | R2> =>
    whileInput(self, ({ cause }) =>
      Effect.every(Cause.failures(cause), (error) => {
        const answer = predicate(error)
        return typeof answer === "boolean" ? Effect.succeed(answer) : answer
      })
    )
)

/**
 * Reads a `fullJitter` policy from the configuration: `initialDelay`, `maxDelay` (durations) and `factor`, each optional
 * and by default as in `fullJitter`. What makes no sense is a `ConfigError`.
 *
 * @example
 * ```ts
 * import { Config, ConfigProvider, Effect } from "effect"
 * import { RetryPolicy } from "effect-client-service"
 *
 * const policy = RetryPolicy.fromConfig.pipe(
 *   Config.nested("retry"),
 *   Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["retry.maxDelay", "10 seconds"]])))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig: Config.Config<RetryPolicy<unknown>> = /* @__PURE__ */ Config.suspend(() =>
  Config.mapOrFail(
    Config.all({
      initialDelay: Config.withDefault(delayConfig("initialDelay"), undefined),
      maxDelay: Config.withDefault(delayConfig("maxDelay"), undefined),
      factor: Config.withDefault(Config.number("factor"), undefined)
    }),
    (options) =>
      valid(
        ({ option }) => [option],
        () => fullJitter(options)
      )
  )
)

// `Config.duration` takes a negative duration for zero.
const delayConfig = (name: string): Config.Config<Duration.Duration> =>
  Config.mapOrFail(Config.string(name), (text) =>
    valid(
      () => [],
      () => Validate.finiteDuration("RetryPolicy.fromConfig", name, text)
    )
  )

const valid = <A>(
  path: (error: InvalidOption.InvalidOption) => Array<string>,
  make: () => A
): Either.Either<A, ConfigError.ConfigError> =>
  Either.try({
    try: make,
    catch: (error) =>
      ConfigError.InvalidData(error instanceof InvalidOption.InvalidOption ? path(error) : [], String(error))
  })

// A schedule that never ends. Delays are whole milliseconds, which is as fine as timers are, and one at least where there
// is any.
const fromDelays = (
  initial: number,
  next: (failure: ConnectionFailure<unknown>, previous: number) => Effect.Effect<number>
): RetryPolicy<unknown> =>
  Schedule.makeWithState(initial, (now, failure: ConnectionFailure<unknown>, previous) =>
    Effect.map(next(failure, previous), (delay) => {
      const millis = delay > 0 ? Math.max(1, Math.round(delay)) : 0
      return [millis, Duration.millis(millis), ScheduleDecision.continueWith(ScheduleInterval.after(now + millis))]
    })
  )

const stateless = (delay: (failure: ConnectionFailure<unknown>) => Effect.Effect<number>): RetryPolicy<unknown> =>
  fromDelays(0, delay)

interface Bounds {
  readonly initialDelay: Duration.DurationInput
  readonly maxDelay: Duration.DurationInput
}

const bounds = (
  where: string,
  { initialDelay, maxDelay }: Bounds
): { readonly initial: number; readonly max: number } => {
  const initial = delayMillis(where, "initialDelay", initialDelay)
  const max = delayMillis(where, "maxDelay", maxDelay)
  // Whoever shortens the longest delay need not know how long the first is by default.
  return { initial: Math.min(initial, max), max }
}

const ladder = (where: string, options: Bounds & { readonly factor: number }): ((failures: number) => number) => {
  const { initial, max } = bounds(where, options)
  const { factor } = options
  if (!(factor >= 1 && factor < Number.POSITIVE_INFINITY)) {
    return Validate.refuse(where, "factor", factor, "a finite number of at least 1")
  }
  // The power overflows to Infinity after a long outage, and 0 * Infinity is not a number.
  return (failures) => (initial === 0 ? 0 : Math.min(initial * factor ** (failures - 1), max))
}

const delayMillis = (where: string, option: string, delay: Duration.DurationInput): number =>
  Duration.toMillis(Validate.finiteDuration(where, option, delay))
