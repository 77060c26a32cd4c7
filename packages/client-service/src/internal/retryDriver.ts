import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import type { ConnectionError } from "../ConnectionError.js"
import { type ConnectionFailure, fullJitter, type RetryPolicy } from "../RetryPolicy.js"
import type { Fork } from "./fork.js"
import { whenEnded, within } from "./sleep.js"
import type { Retry } from "./transitions.js"

export interface Settings<E, R> {
  readonly policy: RetryPolicy<ConnectionError<E>, R>
  /** Milliseconds after which a policy that has not answered counts as broken. */
  readonly timeout: number
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  /** Is told why the policy is broken, each time that the default policy answers in its place. */
  readonly onBroken: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

export const defaultPolicy: RetryPolicy<unknown> = fullJitter()

/**
 * Steps a retry policy by hand: it begins afresh with the first failure in a row, and its delay is known before it is
 * waited for.
 */
export class RetryDriver<E, R> {
  readonly #settings: Settings<E, R>
  #state: unknown

  constructor(settings: Settings<E, R>) {
    this.#settings = settings
  }

  /** Asks for the next retry: none if the policy is done. */
  next(failure: ConnectionFailure<ConnectionError<E>>): Effect.Effect<Option.Option<Retry>> {
    return Effect.uninterruptibleMask((restore) => {
      const { clock, fork, policy, timeout } = this.#settings
      if (failure.failures === 1) this.#state = policy.initial
      // In a fiber of its own, since a policy may run any Effect, and may never answer. Most answer at once.
      const asking = fork.now(Effect.suspend(() => step(policy, failure, this.#state, clock)))
      const answer = asking.unsafePoll()
      if (answer !== null && Exit.isSuccess(answer)) return Effect.succeed(this.#take(answer.value))
      return (answer ?? patiently(fork, asking, timeout)).pipe(
        Effect.map((answer) => this.#take(answer)),
        Effect.catchAllCause((cause) => Effect.zipRight(this.#settings.onBroken(cause), this.#byDefault(failure))),
        restore,
        // Out here, since a policy that calls the service may have interrupted whoever asks it.
        Effect.ensuring(Fiber.interruptFork(asking))
      )
    })
  }

  #take({ retry, state }: Answer): Option.Option<Retry> {
    this.#state = state
    return retry
  }

  #byDefault(failure: ConnectionFailure<ConnectionError<E>>): Effect.Effect<Option.Option<Retry>> {
    return Effect.map(step(defaultPolicy, failure, defaultPolicy.initial, this.#settings.clock), ({ retry }) => retry)
  }
}

const patiently = <A>(fork: Fork<never>, asking: Fiber.RuntimeFiber<A>, timeout: number): Effect.Effect<A> =>
  within(fork, timeout, () => asking.unsafePoll() !== null, whenEnded(asking)).pipe(
    Effect.flatMap(() => asking.unsafePoll() ?? Effect.dieMessage(`no answer within ${Duration.format(timeout)}`))
  )

interface Answer {
  readonly state: unknown
  readonly retry: Option.Option<Retry>
}

const step = <E, R>(
  policy: RetryPolicy<E, R>,
  failure: ConnectionFailure<E>,
  state: unknown,
  clock: Clock.Clock
): Effect.Effect<Answer, never, R> => {
  const now = clock.unsafeCurrentTimeMillis()
  return Effect.map(policy.step(now, failure, state), ([state, , decision]) => {
    if (ScheduleDecision.isDone(decision)) return { state, retry: Option.none() }
    const delay = Math.round(ScheduleIntervals.start(decision.intervals) - now)
    if (delay >= 0 && delay < Number.POSITIVE_INFINITY) {
      return { state, retry: Option.some({ delay: Duration.millis(delay), retryAt: now + delay }) }
    }
    throw new Error(`a delay of ${delay} ms`)
  })
}
