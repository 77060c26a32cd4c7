/**
 * An endpoint in memory, for tests: the test decides how each attempt ends, drops connections, and counts what is opened
 * and closed. With `TestClock`, a test of a service that reconnects is deterministic and takes no time. And a check of
 * endpoints of your own.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type ConnectionSignal, type Endpoint, make as makeEndpoint } from "./Endpoint.js"
import type { EndpointRuleBroken } from "./EndpointRuleBroken.js"
import { checkEndpoint as check } from "./internal/endpoints/checkEndpoint.js"
import * as Validate from "./internal/options.js"

/**
 * An endpoint under the control of a test.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestEndpoint<in out P, in out E = never> {
  /** What the service under test connects to. */
  readonly endpoint: Endpoint<P, E>
  /** How many attempts have begun. */
  readonly attempts: Effect.Effect<number>
  /** How many connections have been opened. */
  readonly opens: Effect.Effect<number>
  /** How many connections have been closed. */
  readonly closes: Effect.Effect<number>
  /** The connection that was opened last. */
  readonly last: Effect.Effect<Option.Option<TestConnection<E>>>
  /**
   * Accepts the attempt under way, or the next one, and waits for it.
   */
  readonly accept: (protocol: P, options?: AcceptOptions) => Effect.Effect<TestConnection<E>>
  /**
   * Refuses the attempt under way, or the next one, and waits for it.
   */
  readonly refuse: (error: E) => Effect.Effect<void>
  /**
   * Decides the outcomes of as many attempts, beginning with the one under way, and does not wait for them. An attempt
   * for which there is no outcome waits for one, unless the endpoint is `up` or `down`.
   */
  readonly script: (...outcomes: ReadonlyArray<Outcome<P, E>>) => Effect.Effect<void>
  /**
   * Accepts every attempt, from the one under way on, until told otherwise by `down` or another `up`. What `accept`,
   * `refuse` and `script` have decided, or decide later, comes first. `last` has the connection.
   */
  readonly up: (protocol: P, options?: AcceptOptions) => Effect.Effect<void>
  /**
   * Refuses every attempt, from the one under way on, until told otherwise by `up` or another `down`. What `accept`,
   * `refuse` and `script` have decided, or decide later, comes first. A connection that is open stays so until it is
   * dropped.
   */
  readonly down: (error: E) => Effect.Effect<void>
}

/**
 * A connection that the endpoint accepted.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestConnection<in E> {
  /** Loses the connection, as if the peer had closed it or, with an error, broken it. */
  readonly drop: (error?: E) => Effect.Effect<void>
  /** Whether the connection is closed. */
  readonly closed: Effect.Effect<boolean>
  /** Waits until the connection is closed. */
  readonly awaitClosed: Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AcceptOptions {
  /** What closing the connection does, before it counts as closed. `Effect.never` is a close that hangs. */
  readonly close?: Effect.Effect<void> | undefined
}

/**
 * How an attempt ends. It is what an endpoint does to connect, so any such Effect is an outcome.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome<P, E = never> = (
  signal: ConnectionSignal<E>,
  open: (options?: AcceptOptions) => Effect.Effect<TestConnection<E>, never, Scope.Scope>
) => Effect.Effect<P, E, Scope.Scope>

/**
 * Makes an endpoint for a test.
 *
 * @example
 * ```ts
 * import { Effect, TestClock, TestContext } from "effect"
 * import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
 *
 * const test = Effect.gen(function* () {
 *   const server = yield* TestEndpoint.make<string, "refused">()
 *   const service = yield* ClientService.make({
 *     endpoint: server.endpoint,
 *     retryPolicy: RetryPolicy.fromFunction(() => "1 second")
 *   })
 *   yield* service.start
 *   yield* server.refuse("refused")
 *   yield* TestClock.adjust("1 second")
 *   const connection = yield* server.accept("hello")
 *   const greeting = yield* service.whenConnected()
 *   yield* connection.drop()
 *   yield* connection.awaitClosed
 *   return greeting
 * }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <P, E = never>(): Effect.Effect<TestEndpoint<P, E>> =>
  Effect.sync(() => {
    const outcomes = new Outcomes<P, E>()
    let attempts = 0
    let opens = 0
    let closes = 0
    let last = Option.none<TestConnection<E>>()

    const open = (signal: ConnectionSignal<E>) => (options?: AcceptOptions) =>
      Effect.acquireRelease(
        Effect.map(Deferred.make<void>(), (closed) => {
          opens += 1
          const connection: TestConnection<E> = {
            drop: (error) => Effect.sync(() => signal.lost(error)),
            closed: Deferred.isDone(closed),
            awaitClosed: Deferred.await(closed)
          }
          last = Option.some(connection)
          return { closed, connection }
        }),
        ({ closed }) =>
          Effect.zipRight(
            options?.close ?? Effect.void,
            Effect.suspend(() => {
              closes += 1
              return Deferred.succeed(closed, undefined)
            })
          )
      ).pipe(Effect.map(({ connection }) => connection))

    const next = (signal: ConnectionSignal<E>): Effect.Effect<P, E, Scope.Scope> =>
      Effect.flatMap(outcomes.next, (outcome) => outcome(signal, open(signal)))

    const answer = <A>(outcome: (answered: (value: A) => Effect.Effect<unknown>) => Outcome<P, E>): Effect.Effect<A> =>
      Effect.flatMap(Deferred.make<A>(), (answered) => {
        let isWithdrawn = false
        const given = outcome((value) => Deferred.succeed(answered, value))
        outcomes.add((signal, open) => (isWithdrawn ? next(signal) : given(signal, open)))
        return Deferred.await(answered).pipe(
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              isWithdrawn = true
            })
          )
        )
      })

    return {
      endpoint: makeEndpoint({
        name: "test",
        connect: (signal: ConnectionSignal<E>) =>
          Effect.suspend(() => {
            attempts += 1
            return next(signal)
          })
      }),
      attempts: Effect.sync(() => attempts),
      opens: Effect.sync(() => opens),
      closes: Effect.sync(() => closes),
      last: Effect.sync(() => last),
      accept: (protocol, options) =>
        answer<TestConnection<E>>((answered) => (_, open) => Effect.as(Effect.tap(open(options), answered), protocol)),
      refuse: (error) => answer<void>((answered) => () => Effect.zipRight(answered(undefined), Effect.fail(error))),
      script: (...script) =>
        Effect.sync(() => {
          for (const outcome of script) outcomes.add(outcome)
        }),
      up: (protocol, options) => Effect.sync(() => outcomes.stand(accepted(protocol, options))),
      down: (error) => Effect.sync(() => outcomes.stand(refused(error)))
    }
  })

/** The outcomes that attempts have, each the next, and then the standing one. */
class Outcomes<P, E> {
  readonly #scripted: Array<Outcome<P, E>> = []
  readonly #attempts = new Set<(outcome: Outcome<P, E>) => void>()
  #standing: Outcome<P, E> | undefined

  /** Waits as long as there is none. */
  readonly next: Effect.Effect<Outcome<P, E>> = Effect.async((resume) => {
    const outcome = this.#scripted.shift() ?? this.#standing
    if (outcome !== undefined) return resume(Effect.succeed(outcome))
    const attempt = (outcome: Outcome<P, E>) => resume(Effect.succeed(outcome))
    this.#attempts.add(attempt)
    return Effect.sync(() => {
      this.#attempts.delete(attempt)
    })
  })

  add(outcome: Outcome<P, E>): void {
    const [attempt] = this.#attempts
    if (attempt === undefined) this.#scripted.push(outcome)
    else this.#answer(attempt, outcome)
  }

  stand(outcome: Outcome<P, E>): void {
    this.#standing = outcome
    for (const attempt of this.#attempts) this.#answer(attempt, outcome)
  }

  #answer(attempt: (outcome: Outcome<P, E>) => void, outcome: Outcome<P, E>): void {
    this.#attempts.delete(attempt)
    attempt(outcome)
  }
}

/**
 * The attempt is accepted.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const accepted =
  <P>(protocol: P, options?: AcceptOptions): Outcome<P> =>
  (_, open) =>
    Effect.as(open(options), protocol)

/**
 * The attempt is accepted, and the connection dropped after a while.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const dropped =
  <P>(protocol: P, after: Duration.DurationInput, options?: AcceptOptions): Outcome<P> =>
  (_, open) =>
    Effect.gen(function* () {
      const connection = yield* open(options)
      yield* connection.drop().pipe(Effect.delay(after), Effect.forkScoped)
      return protocol
    })

/**
 * The attempt is refused with an error.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const refused =
  <E>(error: E): Outcome<never, E> =>
  () =>
    Effect.fail(error)

/**
 * The attempt dies of a defect.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const died =
  (defect: unknown): Outcome<never> =>
  () =>
    Effect.die(defect)

/**
 * The attempt never ends.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const hung: Outcome<never> = () => Effect.never

/**
 * The attempt has another outcome, after a while.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const delayed =
  <P, E>(outcome: Outcome<P, E>, by: Duration.DurationInput): Outcome<P, E> =>
  (signal, open) =>
    Effect.delay(outcome(signal, open), by)

/**
 * The attempt has another outcome, and ignores its interruption.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const uninterruptible =
  <P, E>(outcome: Outcome<P, E>): Outcome<P, E> =>
  (signal, open) =>
    Effect.uninterruptible(outcome(signal, open))

/**
 * How an endpoint is checked.
 *
 * @since 0.1.0
 * @category options
 */
export interface CheckOptions<in A, R2 = never, R3 = never> {
  /** What the history is drawn from. Default 1. */
  readonly seed?: number | undefined
  /** How many times something is done with the endpoint. Default 50. */
  readonly runs?: number | undefined
  /**
   * How long the endpoint may take to connect, to give up an attempt that is interrupted, and to close. In real time,
   * under `TestClock` as well. Default 5 seconds.
   */
  readonly patience?: Duration.DurationInput | undefined
  /** How many connections are open, as the peer counts them. Default: not known, and only fibers are looked for. */
  readonly open?: Effect.Effect<number, never, R2> | undefined
  /** Uses a connection that is up, for which it must not fail. Default: does nothing. */
  readonly use?: ((connection: A) => Effect.Effect<unknown, unknown, R3>) | undefined
}

/**
 * Checks that an endpoint keeps the rules that a service relies on: it connects time and again, whatever came of the
 * attempts before; it can be interrupted at any point; it leaves nothing open when its Scope closes; its connections do
 * not depend on each other; and it does not die. `EndpointRule` lists them.
 *
 * It closes connections, interrupts attempts and opens two connections at once, in an order drawn from the seed. The peer
 * has to accept every connection, and to keep it up. Give the endpoint a protocol by `Endpoint.mapEffect` to check both.
 *
 * Fails with an `EndpointRuleBroken` at the first rule that is broken.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Endpoint, TestEndpoint } from "effect-client-service"
 *
 * declare const server: { readonly connections: Effect.Effect<number> }
 * declare const endpoint: Endpoint.Endpoint<{ readonly ping: Effect.Effect<void, Error> }, Error>
 *
 * const test = TestEndpoint.checkEndpoint(endpoint, {
 *   open: server.connections,
 *   use: (connection) => connection.ping
 * })
 * ```
 *
 * @since 0.1.0
 * @category checks
 * @throws InvalidOption if `seed` is not an integer of zero or more, `runs` not a positive one, or `patience` not more than zero
 */
export const checkEndpoint = <A, E, R, R2 = never, R3 = never>(
  endpoint: Endpoint<A, E, R>,
  options?: CheckOptions<A, R2, R3>
): Effect.Effect<void, EndpointRuleBroken, R | R2 | R3> => {
  const where = "TestEndpoint.checkEndpoint"
  return check<A, E, R, R2, R3>({
    endpoint,
    seed: Validate.integer(where, "seed", options?.seed ?? 1, 0),
    runs: Validate.integer(where, "runs", options?.runs ?? 50, 1),
    patience: Validate.positiveDuration(where, "patience", options?.patience ?? "5 seconds"),
    open: options?.open ?? Effect.succeed(0),
    use: options?.use ?? (() => Effect.void)
  })
}
