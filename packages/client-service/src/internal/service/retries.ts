import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import type { ConnectionError } from "../../ConnectionError.js"
import type { ConnectionFailure, RetryPolicy } from "../../RetryPolicy.js"
import { isAwaited } from "../connection/isAwaited.js"
import type { Fork } from "../fork.js"
import { monotonic } from "../time/monotonic.js"
import { endWithin } from "../time/within.js"
import { defaultPolicy } from "./retryOption.js"
import type { Retry } from "./table.js"

export interface Settings<E, R> {
  readonly policy: RetryPolicy<ConnectionError<E>, R>
  /** Milliseconds after which a policy that has not answered counts as broken. */
  readonly timeout: number
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  /** Is told why the policy is broken, each time that the default policy answers in its place. */
  readonly onBroken: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** Is told that the policy grants more attempts than anybody can have meant. */
  readonly onHasty: () => void
}

/** What a policy grants, which is shown by the wall clock, and waited for by `monotonic`. */
export interface Granted extends Retry {
  /** When the delay is over. */
  readonly due: number
}

/**
 * Steps a retry policy by hand: it begins afresh when it is told to, and its delay is known before it is waited for.
 */
export class Retries<E, R> {
  readonly #settings: Settings<E, R>
  #state: unknown
  #countedSince = Number.NEGATIVE_INFINITY
  #granted = 0
  /** The policy, while it is asked. */
  #asking: Fiber.RuntimeFiber<unknown, unknown> | undefined
  /** What has been asked, and has not ended. */
  #asked: Set<Fiber.RuntimeFiber<unknown, unknown>> | undefined

  constructor(settings: Settings<E, R>) {
    this.#settings = settings
    this.#state = settings.policy.initial
  }

  /** Begins the policy afresh. */
  reset(): void {
    this.#state = this.#settings.policy.initial
  }

  /** Waits until what was asked has ended, as an answer that nobody waits for may take its time to, and no longer than that. */
  ended(millis: number): Effect.Effect<void> {
    const { fork } = this.#settings
    return Effect.forEach([...(this.#asked ?? [])], (asked) => endWithin(fork, millis, asked), {
      concurrency: "unbounded",
      discard: true
    })
  }

  get isAsked(): boolean {
    return this.#asking !== undefined
  }

  /** Whether the policy that is asked can't answer without a fiber. */
  isHeldUpBy(fiber: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<boolean> {
    return this.#asking === undefined ? Effect.succeed(false) : isAwaited(this.#asking, fiber)
  }

  /** Asks for the next retry: none if the policy is done. */
  next(failure: ConnectionFailure<ConnectionError<E>>): Effect.Effect<Option.Option<Granted>> {
    return Effect.uninterruptibleMask((restore) => {
      const { clock, fork, policy, timeout } = this.#settings
      // In a fiber of its own, since a policy may run any Effect, and may never answer. Most answer at once.
      const asking = fork.now(
        Effect.withFiberRuntime<Answer, never, R>((fiber) => {
          this.#asking = fiber
          return step(policy, failure, this.#state, clock)
        })
      )
      const answer = asking.unsafePoll()
      if (answer !== null) this.#asking = undefined
      else {
        this.#asked ??= new Set()
        const asked = this.#asked.add(asking)
        asking.addObserver(() => asked.delete(asking))
      }
      if (answer !== null && Exit.isSuccess(answer)) return Effect.succeed(this.#count(this.#take(answer.value)))
      return (answer ?? patiently(fork, asking, timeout)).pipe(
        Effect.map((answer) => this.#take(answer)),
        Effect.catchAllCause((cause) => Effect.zipRight(this.#settings.onBroken(cause), this.#byDefault(failure))),
        Effect.map((retry) => this.#count(retry)),
        restore,
        // Out here, since a policy that calls the service may have interrupted whoever asks it.
        Effect.ensuring(
          Effect.suspend(() => {
            if (this.#asking === asking) this.#asking = undefined
            return Fiber.interruptFork(asking)
          })
        )
      )
    })
  }

  #take({ retry, state }: Answer): Option.Option<Granted> {
    this.#state = state
    return retry
  }

  #byDefault(failure: ConnectionFailure<ConnectionError<E>>): Effect.Effect<Option.Option<Granted>> {
    const { clock } = this.#settings
    return step(defaultPolicy, failure, defaultPolicy.initial, clock).pipe(
      Effect.map(({ retry }) => retry),
      // It draws from the caller's Random, which may die too.
      Effect.catchAllCause(() => Effect.sync(() => Option.some(grantFromNow(clock)(1000))))
    )
  }

  // A schedule such as `Schedule.forever` has no delay at all, which is hardly what was meant.
  #count(retry: Option.Option<Granted>): Option.Option<Granted> {
    if (Option.isNone(retry)) return retry
    const now = monotonic(this.#settings.clock)
    if (now - this.#countedSince >= 1000) {
      this.#countedSince = now
      this.#granted = 0
    }
    this.#granted += 1
    if (this.#granted === most + 1) this.#settings.onHasty()
    return retry
  }
}

/** The attempts in a second above which a policy is hardly what was meant. */
const most = 100

const patiently = <A>(fork: Fork<never>, asking: Fiber.RuntimeFiber<A>, timeout: number): Effect.Effect<A> =>
  Effect.flatMap(
    endWithin(fork, timeout, asking),
    (answer) => answer ?? Effect.dieMessage(`no answer within ${Duration.format(timeout)}`)
  )

interface Answer {
  readonly state: unknown
  readonly retry: Option.Option<Granted>
}

const step = <E, R>(
  policy: RetryPolicy<E, R>,
  failure: ConnectionFailure<E>,
  state: unknown,
  clock: Clock.Clock
): Effect.Effect<Answer, never, R> => {
  // A schedule may be one of the calendar.
  const now = clock.unsafeCurrentTimeMillis()
  const grant = grantFromNow(clock)
  return Effect.map(policy.step(now, failure, state), ([state, , decision]) => ({
    state,
    retry: ScheduleDecision.isDone(decision) ? Option.none() : Option.some(grant(delayOf(decision.intervals, now)))
  }))
}

const delayOf = (intervals: ScheduleIntervals.Intervals, now: number): number => {
  const start = ScheduleIntervals.start(intervals)
  const delay = Math.round(start - now)
  if (delay >= 0 && delay < Number.POSITIVE_INFINITY) return delay
  if (hasBegun(intervals, start, now)) return 0
  throw new Error(`a delay of ${delay} ms`)
}

// The intervals of the calendar may have begun: it is half past nine, and the hour of nine is the time. They have an end, or
// begin with a whole second if they are united with one that has none. A start in the past is nonsense otherwise.
const hasBegun = (intervals: ScheduleIntervals.Intervals, start: number, now: number): boolean =>
  start <= now && (start % 1000 === 0 || ScheduleIntervals.end(intervals) < Number.POSITIVE_INFINITY)

/** Gives what grants a delay that counts from now. */
const grantFromNow = (clock: Clock.Clock): ((millis: number) => Granted) => {
  const now = clock.unsafeCurrentTimeMillis()
  const since = monotonic(clock)
  return (millis) => ({ delay: Duration.millis(millis), retryAt: now + millis, due: since + millis })
}
