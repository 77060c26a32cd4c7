/**
 * Keeps one outgoing connection alive.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import {
  type AttemptError,
  type ConnectionError,
  ConnectionLost,
  ConnectTimeout,
  HeartbeatTimeout,
  NotConnected,
  RetriesExhausted,
  ServiceStopped
} from "./ConnectionError.js"
import type * as ConnectionState from "./ConnectionState.js"
import type { ConnectionSignal, Endpoint } from "./Endpoint.js"
import { prepared, protocolOver } from "./internal/connection/attempt.js"
import * as Validate from "./internal/options.js"
import { retryPolicyOf } from "./internal/service/retryOption.js"
import { makeService, Service, TypeId as ServiceTypeId } from "./internal/service/service.js"
import { sourceOf, sourceOfStub, subscribe } from "./internal/service/stream.js"
import type * as RetryPolicy from "./RetryPolicy.js"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type AttemptError,
  /**
   * @since 0.1.0
   * @category models
   */
  type ConnectionError,
  /**
   * @since 0.1.0
   * @category errors
   */
  ConnectionLost,
  /**
   * @since 0.1.0
   * @category errors
   */
  ConnectTimeout,
  /**
   * @since 0.1.0
   * @category errors
   */
  HeartbeatTimeout,
  /**
   * @since 0.1.0
   * @category errors
   */
  NotConnected,
  /**
   * @since 0.1.0
   * @category errors
   */
  RetriesExhausted,
  /**
   * @since 0.1.0
   * @category errors
   */
  ServiceStopped
}

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: typeof ServiceTypeId = ServiceTypeId

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * A service that keeps one connection to an endpoint alive: it connects, prepares the connection, hands its protocol to
 * whoever waits, notices its loss, waits as its retry policy says, and connects again.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientService<out Protocol, out E = never> extends Inspectable.Inspectable, Pipeable {
  readonly [TypeId]: TypeId
  /** In logs, spans and errors. */
  readonly name: string
  /**
   * Begins the connection loop, with a fresh policy and no failures. Of a service that is started already, it logs a
   * warning and changes nothing; after the owner Scope has closed, it does nothing.
   */
  readonly start: Effect.Effect<void>
  /**
   * Stops the service: lets the `use`s that are under way finish for `drainTimeout`, then closes. Completes when the
   * connection is closed and the attempt halted, or when `closeTimeout` has passed since the closing began. Interrupting it
   * ends the wait, not the stop. A `use` that is to finish, or a finalizer of the connection, would wait for itself: called in
   * its fiber, or in one that it has forked, it does not wait. What the promise of a `usePromise` calls is not known as such:
   * it waits until `drainTimeout` has passed.
   */
  readonly stop: Effect.Effect<void>
  /**
   * Whether the service is between `start` and `stop`. It is not once the retry policy has ended.
   */
  readonly running: Effect.Effect<boolean>
  /**
   * What the service is doing, and every change of that.
   */
  readonly state: Subscribable.Subscribable<ConnectionState.ConnectionState<Protocol, E>>
  /**
   * The protocol of the connection, while there is one.
   */
  readonly protocol: Subscribable.Subscribable<Option.Option<Protocol>>
  /**
   * Waits for a connection and gives its protocol, at once if there is one. It waits also for a service that is not
   * started yet.
   *
   * Fails at once with `ServiceStopped` if the service is stopped, or lets its last `use`s finish, and with
   * `RetriesExhausted` if it has given up, and when either happens while it waits. With `failAfterFailures: n`, fails as well when the n-th attempt from now fails,
   * with the cause of that.
   *
   * @throws InvalidOption if `failAfterFailures` is not an integer of at least 1
   */
  readonly whenConnected: WhenConnected<Protocol, E>
  /**
   * Waits for a connection and runs `f` with its protocol, once. If that connection ends before `f` does, for whatever
   * reason, interrupts `f` and fails with a `ConnectionLost` that has the reason as its cause. It does so also where the
   * caller can't be interrupted.
   *
   * With `maxWait`, fails with `NotConnected` if there is no connection within that time; `f` may take as long as it
   * takes.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ClientService } from "effect-client-service"
   *
   * interface Cache {
   *   readonly get: (key: string) => Effect.Effect<string>
   * }
   *
   * declare const service: ClientService.ClientService<Cache>
   *
   * // What the cache has, or nothing while it can't be reached.
   * const cached = service
   *   .use((cache) => cache.get("greeting"), { maxWait: "2 seconds" })
   *   .pipe(Effect.catchTag("NotConnected", () => Effect.succeed(undefined)))
   * ```
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly use: Use<Protocol, E>
  /**
   * Does what `use` does with a function that gives a promise, and needs no fiber for it. The signal is aborted when the
   * caller is interrupted or the connection ends; then the promise is not waited for any more. A function that declares the
   * protocol as its only parameter is given one that never is, since it costs much.
   *
   * What the promise is rejected with, or the function throws, is the cause of an `UnknownException`; or becomes the error
   * that `catch` makes of it, if the function is given as `try`, as in `Effect.tryPromise`.
   *
   * @example
   * ```ts
   * import { Data } from "effect"
   * import { ClientService } from "effect-client-service"
   *
   * interface Client {
   *   readonly get: (key: string, options: { readonly signal: AbortSignal }) => Promise<string>
   * }
   *
   * class GetError extends Data.TaggedError("GetError")<{ readonly cause: unknown }> {}
   *
   * declare const service: ClientService.ClientService<Client>
   *
   * const greeting = service.usePromise({
   *   try: (client, signal) => client.get("greeting", { signal }),
   *   catch: (cause) => new GetError({ cause })
   * })
   * ```
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly usePromise: UsePromise<Protocol, E>
  /**
   * Does what `use` does with a function that calls back, as one of `Effect.async` does, and needs neither a fiber nor a
   * promise. It is for those who make a client for others: calls are many there.
   *
   * The function may give a cleanup, which is called if the caller is interrupted, or the connection ends, before it has
   * resumed, and is told whether it is the connection that has ended. What it resumes with after that is ignored. With an
   * Effect that is more than a result, the caller goes on by itself: that does not end with the connection any more.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ClientService } from "effect-client-service"
   *
   * interface Client {
   *   readonly get: (key: string, callback: (error: Error | null, value: string) => void) => { readonly cancel: () => void }
   * }
   *
   * declare const service: ClientService.ClientService<Client>
   *
   * const greeting = service.useAsync<string, Error>((client, resume) => {
   *   const call = client.get("greeting", (error, value) =>
   *     resume(error === null ? Effect.succeed(value) : Effect.fail(error))
   *   )
   *   return () => call.cancel()
   * })
   * ```
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly useAsync: UseAsync<Protocol, E>
  /**
   * The protocol of each connection: of the one there is, then of every later one. A consumer that is slow misses those
   * that have passed meanwhile, and gets the newest. With `Stream.flatMap({ switch: true })`, what depends on a
   * connection is begun anew on each.
   */
  readonly connections: Stream.Stream<Protocol, ServiceStopped | RetriesExhausted<E>>
  /**
   * Connects now, whatever the service is doing, unless it is not started or stopped. Waiting, begins the next attempt.
   * Connected, replaces the connection: closes it, then connects again. Connecting, begins the attempt anew, which counts as
   * no failure; one that is younger than a second, when it is a second old and still under way. Having given up, starts the
   * service again.
   */
  readonly reconnect: Effect.Effect<void>
  /**
   * Is it still there? Probes the connection now, by the probe of the `heartbeat`, and replaces it only if that fails, or has no
   * answer within `timeout`. Tells whether there is a connection that has answered, or that came up meanwhile. It is for when
   * there is reason to doubt, as after a laptop has slept; a connection that is fine is left alone, other than by `reconnect`.
   *
   * - `Connected`: at most one probe is under way, whoever asks, so several checks at once share one. What does not answer is
   *   lost, by the error of the probe or a `HeartbeatTimeout`, and the next attempt begins at once; or when the retry policy says,
   *   if the connection has been up for less than a second.
   * - `Waiting`: the next attempt begins at once, and there is no connection to tell of.
   * - `Connecting`: the attempt has `timeout` to succeed, and is begun anew after that, as by `reconnect`.
   * - Otherwise nothing is done: a service that is not started, stopped, or has given up, stays so.
   *
   * Interrupting it ends the wait, not the probe.
   *
   * @throws InvalidOption if the service has no `heartbeat`, or `timeout` is no duration of more than zero
   */
  readonly check: (options?: CheckOptions) => Effect.Effect<boolean>
}

/**
 * How a connection is checked.
 *
 * @since 0.1.0
 * @category options
 */
export interface CheckOptions {
  /** How long the answer may take. More than zero. Default: the `timeout` of the heartbeat. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * The type of `whenConnected`, of a service or of its tag: it fails with the errors of attempts only if it is told after how
 * many failures.
 *
 * @since 0.1.0
 * @category models
 */
export interface WhenConnected<out P, out E, out R = never> {
  (options?: { readonly failAfterFailures?: undefined }): Effect.Effect<P, ServiceStopped | RetriesExhausted<E>, R>
  (options: WaitForConnection | undefined): Effect.Effect<P, AttemptError<E> | ServiceStopped | RetriesExhausted<E>, R>
}

/**
 * The type of `use`, of a service or of its tag: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Use<out P, out E, out R = never> {
  <A, E2, R2>(
    f: (protocol: P) => Effect.Effect<A, E2, R2>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, E2 | ConnectionLost | ServiceStopped | RetriesExhausted<E>, R | R2>
  <A, E2, R2>(
    f: (protocol: P) => Effect.Effect<A, E2, R2>,
    options: UseOptions | undefined
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, R | R2>
}

/**
 * The type of `usePromise`, of a service or of its tag: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface UsePromise<out P, out E, out R = never> {
  <A, E2 = Cause.UnknownException>(
    f: PromiseUse<P, A, E2>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, E2 | ConnectionLost | ServiceStopped | RetriesExhausted<E>, R>
  <A, E2 = Cause.UnknownException>(
    f: PromiseUse<P, A, E2>,
    options: UseOptions | undefined
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, R>
}

/**
 * The type of `useAsync`, of a service or of its tag: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface UseAsync<out P, out E, out R = never> {
  <A, E2 = never>(
    f: AsyncUse<P, A, E2>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, E2 | ConnectionLost | ServiceStopped | RetriesExhausted<E>, R>
  <A, E2 = never>(
    f: AsyncUse<P, A, E2>,
    options: UseOptions | undefined
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, R>
}

/**
 * How a `use` waits for its connection.
 *
 * @since 0.1.0
 * @category options
 */
export interface UseOptions {
  /**
   * How long to wait for a connection; 0 fails at once if there is none. Default: as long as it takes.
   */
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * What `usePromise` runs: a function that gives a promise, alone or with one that makes an error of what the promise is
 * rejected with.
 *
 * @since 0.1.0
 * @category models
 */
export type PromiseUse<P, A, E> =
  | ((protocol: P, signal: AbortSignal) => PromiseLike<A>)
  | {
      readonly try: (protocol: P, signal: AbortSignal) => PromiseLike<A>
      readonly catch: (error: unknown) => E
    }

/**
 * What `useAsync` runs: a function that resumes its caller later, or at once, and may give what takes back what it has
 * begun.
 *
 * @since 0.1.0
 * @category models
 */
export type AsyncUse<P, A, E> =
  | ((protocol: P, resume: (effect: Effect.Effect<A, E>) => void) => void)
  | ((protocol: P, resume: (effect: Effect.Effect<A, E>) => void) => (isLost: boolean) => void)

type AnyEffect<A = unknown, E = unknown> = Effect.Effect<A, E, unknown>

declare const notGiven: unique symbol

/** Is part of what stands for the Effect of an option that is not there. */
interface NotGiven {
  readonly [notGiven]: never
}

/**
 * Stands for the Effect of an option that is not there. TypeScript takes it also where it can infer none, as when other
 * options are wrong or missing: any Effect is one of these, so that it is those that it complains of.
 */
type AnEffect = AnyEffect | NotGiven

// Unlike those of Effect, these give never for what stands for an option that is not there, which also never does.
type ErrorOf<T> = NotGiven extends T ? never : T extends Effect.Effect<unknown, infer E, unknown> ? E : never
type ContextOf<T> = NotGiven extends T ? never : T extends Effect.Effect<unknown, unknown, infer R> ? R : never

/**
 * The options that do not depend on the endpoint, of a service with the protocol `P` and the errors `E`. `Prepared` and
 * `Probed` are the Effects of `prepare` and of the heartbeat, `R` is what the retry policy needs.
 *
 * Options that several services share need none of the types:
 *
 * @example
 * ```ts
 * import { ClientService } from "effect-client-service"
 *
 * const patient = { connectTimeout: "1 minute", retryPolicy: { times: 100 } } satisfies ClientService.CommonOptions
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export interface CommonOptions<
  in P = never,
  in E = unknown,
  out Prepared = AnyEffect,
  out Probed = AnyEffect,
  out R = unknown
> {
  /**
   * Makes a new connection ready before anyone gets it, in its Scope: authenticates, subscribes, checks its health.
   */
  readonly prepare?: ((protocol: P) => Prepared) | undefined
  /**
   * How long to wait before the next attempt, and when to give up: any `Schedule`, or options as those of `Effect.retry`,
   * such as `{ while: (error) => error._tag !== "WrongPassword", times: 10 }`. Each step of it has a Scope of its own.
   * Default `RetryPolicy.fullJitter()`, without end.
   *
   * The `error` is what the options before it can fail with: of `make`, write it after `prepare` and `heartbeat`.
   */
  readonly retryPolicy?:
    | RetryPolicy.RetryPolicy<ConnectionError<E>, R>
    | RetryPolicy.Options<ConnectionError<E>, R>
    | undefined
  /**
   * The name of the service, for logs, spans and errors, and the label `client_service.name` of its metrics. Default: the
   * name of the endpoint, but no such label.
   */
  readonly name?: string | undefined
  /**
   * Whether each connection has a span, from the moment at which it is up until it ends, linked to that of its attempt. A
   * span is exported when it ends, which may take days. Default false.
   */
  readonly connectionSpan?: boolean | undefined
  /** How long a whole attempt may take: connect, `protocol` and `prepare`. More than zero. Default 30 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * How long `stop`, and the next attempt, wait for a connection to close; and for the `use`s of one that `maxAge` has
   * replaced. Default 5 seconds. If it is infinite, a close that hangs, or such a `use` without end, holds up all that.
   */
  readonly closeTimeout?: Duration.DurationInput | undefined
  /**
   * How long `stop` lets the `use`s that are under way finish before it closes the connection. No more begin, and what only
   * waits for a connection ends at once. Default 0, since a `use` may have no end, such as a subscription.
   */
  readonly drainTimeout?: Duration.DurationInput | undefined
  /**
   * How long a connection must stay up for the retry policy and the count of failures to begin afresh. One that is lost
   * earlier counts as a failure more. Default 5 seconds.
   */
  readonly resetAfter?: Duration.DurationInput | undefined
  /** Probes the connection while it is up, to notice a peer that has gone silent. Default: none. */
  readonly heartbeat?: Heartbeat<P, Probed> | undefined
  /**
   * How old a connection may get: it is replaced when it has lived for 80 to 100 % of this, drawn for each. The next one
   * is connected and prepared first and takes its place; then the old one is closed, once its `use`rs are done or
   * `closeTimeout` has passed. While the next one can't be made, the old one goes on, and the retry policy says when to
   * try again. Where the old one ends while the next is being made, as with servers that end a session when the next logs
   * in, that is no failure: the service is `Connecting` until the next is ready. Default: no limit.
   */
  readonly maxAge?: Duration.DurationInput | undefined
}

/**
 * How a connection is probed. A probe that fails or dies loses the connection, and so does one without an answer within
 * `timeout`, by a `HeartbeatTimeout`. There is one probe at a time, with those of `check`; the next is due `interval` after the
 * last answer, whatever else the connection is used for. With an infinite `interval`, only `check` probes.
 *
 * @since 0.1.0
 * @category options
 */
export interface Heartbeat<in P, out Probed = Effect.Effect<unknown>> {
  /** Asks the peer for a sign of life, in a Scope of its own. */
  readonly probe: (protocol: P) => Probed
  /** How long after the connection is up, or the last answer, the next probe is due. More than zero. */
  readonly interval: Duration.DurationInput
  /** How long a probe may take. More than zero. */
  readonly timeout: Duration.DurationInput
  /**
   * When the peer was last heard of, as the `lastReceived` of a `Transport` tells. What has come in counts as a sign of life:
   * a probe without an answer fails when nothing has come in for `timeout`. It is for peers that answer in order, and may be at
   * a long answer. Default: only the answer counts.
   */
  readonly lastReceived?: ((protocol: P) => number | undefined) | undefined
}

/**
 * The options of a service: of an endpoint `T` and, unless what that connects to is the protocol itself, a `protocol`. `Made`
 * is the Effect of that, and `ES` what its signal may report.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<P, T, Made, ES, E, Prepared, Probed, R> extends CommonOptions<P, E, Prepared, Probed, R> {
  /** Where to connect to. */
  readonly endpoint: T
  /**
   * Makes the protocol of a new connection, in the Scope of that connection. Its signal reports the loss of the
   * connection, as when the peer breaks the protocol. Default: the protocol is what the endpoint connects to.
   *
   * A Layer takes the errors that the signal may report from its tag. Otherwise they are those of the annotation:
   * `signal: ConnectionSignal<MyError>`. And `make` knows what `protocol` makes only in the options after it, unless the
   * parameters of `protocol` have annotations.
   */
  readonly protocol?: ((transport: Endpoint.Success<T>, signal: ConnectionSignal<ES>) => Made) | undefined
}

/**
 * The options of a service that a Layer makes, with the protocol and the errors of its tag.
 *
 * @since 0.1.0
 * @category options
 */
export interface LayerOptions<P, E, T, Made, Prepared, Probed, R, W>
  extends Omit<Options<P, T, Made, E, E, Prepared, Probed, R>, "endpoint"> {
  /** Where to connect to. */
  // Any is taken for a `T`: the other lets one that is made in place know the errors of the tag.
  readonly endpoint: T | Endpoint<unknown, E, unknown>
  /**
   * Builds the Layer only once there is a connection, or fails to build it as `whenConnected` with these options fails.
   * Default: the Layer is built at once.
   */
  readonly waitForConnection?: W | undefined
}

/**
 * What options lack whose endpoint connects to something else than the protocol of the tag: a `protocol` that makes a
 * `Protocol` of a `Transport`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ProtocolMissing<Transport, Protocol> {
  readonly protocol: (transport: Transport, signal: never) => AnyEffect<Protocol>
}

// Functions are compared, since TypeScript leaves a comparison of type parameters open.
type Unless<A, B, C> = (() => A) extends () => B ? unknown : C

type ProtocolIfNeeded<P, T, Made> = [Made] extends [never]
  ? Unless<Endpoint.Success<T>, P, ProtocolMissing<Endpoint.Success<T>, P>>
  : unknown

// The errors that a policy takes are inferred by themselves, so that its place among the options does not matter to what
// the others are inferred to be. Hence they are compared with all errors of the service at the end.
type PolicyTakes<E, Taken> = Unless<E, Taken, Pick<CommonOptions<never, NoInfer<E>>, "retryPolicy">>

/**
 * How a caller, or a Layer, waits for a connection.
 *
 * @since 0.1.0
 * @category options
 */
export interface WaitForConnection {
  /** How many attempts may fail from now on, at least 1. Default: as many as the retry policy grants. */
  readonly failAfterFailures?: number | undefined
}

/**
 * What a Layer can fail with that waits for a connection: nothing if it does not wait, and the errors of an attempt only
 * if it gives up after failures.
 *
 * @since 0.1.0
 * @category options
 */
export type WaitError<W, E> = W extends { readonly failAfterFailures?: undefined }
  ? ServiceStopped | RetriesExhausted<E>
  : W extends WaitForConnection
    ? AttemptError<E> | ServiceStopped | RetriesExhausted<E>
    : never

/**
 * Makes a service in the Scope of the caller, and does not start it. When the Scope closes, the service stops for good.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ClientService, Endpoint } from "effect-client-service"
 *
 * const program = Effect.gen(function* () {
 *   const service = yield* ClientService.make({
 *     endpoint: Endpoint.make({ name: "greeter", connect: () => Effect.succeed("hello") })
 *   })
 *   yield* service.start
 *   return yield* service.whenConnected()
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export function make<
  T extends Endpoint.Any,
  Made extends AnyEffect = Effect.Effect<Endpoint.Success<T>>,
  ES = never,
  Prepared extends AnEffect = AnEffect,
  Probed extends AnEffect = AnEffect,
  R = never,
  E = Endpoint.Error<T> | ES | ErrorOf<Made> | ErrorOf<Prepared> | ErrorOf<Probed>
>(
  options: Options<Effect.Effect.Success<Made>, T, Made, ES, E, Prepared, Probed, R> &
    PolicyTakes<Endpoint.Error<T> | ES | ErrorOf<Made> | ErrorOf<Prepared> | ErrorOf<Probed>, E>
): Effect.Effect<
  ClientService<
    Effect.Effect.Success<Made>,
    Endpoint.Error<T> | ES | ErrorOf<Made> | ErrorOf<Prepared> | ErrorOf<Probed>
  >,
  never,
  Scope.Scope | Endpoint.Context<T> | ContextOf<Made> | ContextOf<Prepared> | ContextOf<Probed> | R
>
export function make<T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5>(
  options: AnyOptions<T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5>
): Effect.Effect<ClientService<P, E1 | E2 | ES | E3 | E4>, never, Scope.Scope | R1 | R2 | R3 | R4 | R5> {
  return makeAny("ClientService.make", options)
}

/**
 * Makes a Layer of a service, which starts when the Layer is built and stops when it is released.
 *
 * @example
 * ```ts
 * import { Context } from "effect"
 * import { ClientService, Endpoint, type Transport } from "effect-client-service"
 *
 * declare const endpoint: Endpoint.Endpoint<Transport.Transport, Error>
 *
 * class Peer extends Context.Tag("app/Peer")<Peer, ClientService.ClientService<Transport.Transport, Error>>() {}
 *
 * const PeerLive = ClientService.layer(Peer, { endpoint, waitForConnection: { failAfterFailures: 3 } })
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption
 */
export function layer<
  Id,
  P,
  E,
  T extends Endpoint<unknown, NoInfer<E>, unknown>,
  Made extends AnyEffect<NoInfer<P>, NoInfer<E>> = never,
  Prepared extends AnyEffect<unknown, NoInfer<E>> = Effect.Effect<unknown, NoInfer<E>>,
  Probed extends AnyEffect<unknown, NoInfer<E>> = Effect.Effect<unknown, NoInfer<E>>,
  R = never,
  W extends WaitForConnection = never
>(
  tag: Context.Tag<Id, ClientService<P, E>>,
  options: LayerOptions<NoInfer<P>, NoInfer<E>, T, Made, Prepared, Probed, R, W> & ProtocolIfNeeded<NoInfer<P>, T, Made>
): Layer.Layer<Id, WaitError<W, E>, Endpoint.Context<T> | Exclude<ContextOf<Made | Prepared | Probed> | R, Scope.Scope>>
export function layer<Id, P, E, T, R1, R2, R3, R4, R5>(
  tag: Context.Tag<Id, ClientService<P, E>>,
  options: AnyOptions<T, E, R1, P, E, R2, E, E, R3, R4, E, R5> & {
    readonly waitForConnection?: WaitForConnection | undefined
  }
): Layer.Layer<
  Id,
  AttemptError<E> | ServiceStopped | RetriesExhausted<E>,
  R1 | Exclude<R2 | R3 | R4 | R5, Scope.Scope>
> {
  const service = Effect.tap(makeAny("ClientService.layer", options), (service) => service.start)
  const waitForConnection = options.waitForConnection ?? undefined
  const failures = waitForConnection?.failAfterFailures
  if (failures !== undefined)
    Validate.integer("ClientService.layer", "waitForConnection.failAfterFailures", failures, 1)
  if (waitForConnection === undefined) return Layer.scoped(tag, service)
  return Layer.scoped(
    tag,
    Effect.tap(service, (service) => service.whenConnected(waitForConnection))
  )
}

/**
 * A stream that goes on across connections: it runs the stream of `f` on each connection in turn, begun anew on every
 * one. What ends or fails with its connection is begun anew on the next; a failure of `f` on a connection that is up ends
 * the stream with that failure, a second later, since until then it may turn out that the connection is lost.
 *
 * With `gap`, the consumer is told of each change: what `gap` gives comes before the first element of every connection
 * but the first.
 *
 * The stream of `f` begins on a connection at once, also while the consumer is at something else, unless more than 14 elements
 * of connections that were lost still wait for it: then it begins once there are fewer. Beyond its first elements it is pulled as
 * they are asked for: what a consumer that stops has not asked for is left to the next.
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { ClientService } from "effect-client-service"
 *
 * interface Feed {
 *   readonly trades: Stream.Stream<number>
 * }
 *
 * declare const service: ClientService.ClientService<Feed>
 *
 * const trades = ClientService.stream(service, (feed) => feed.trades, { gap: () => "missed some" as const })
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const stream: {
  <P, A, E2, R, Gap = never>(
    f: (protocol: P) => Stream.Stream<A, E2, R>,
    options?: StreamOptions<P, Gap>
  ): <E>(service: ClientService<P, E>) => Stream.Stream<A | Gap, E2 | ServiceStopped | RetriesExhausted<E>, R>
  <P, E, A, E2, R, Gap = never>(
    service: ClientService<P, E>,
    f: (protocol: P) => Stream.Stream<A, E2, R>,
    options?: StreamOptions<P, Gap>
  ): Stream.Stream<A | Gap, E2 | ServiceStopped | RetriesExhausted<E>, R>
} = /* @__PURE__ */ dual(
  (args) => Predicate.hasProperty(args[0], TypeId),
  <P, E, A, E2, R, Gap = never>(
    service: ClientService<P, E>,
    f: (protocol: P) => Stream.Stream<A, E2, R>,
    options?: StreamOptions<P, Gap>
  ): Stream.Stream<A | Gap, E2 | ServiceStopped | RetriesExhausted<E>, R> =>
    subscribe(sourceFor(service), f, options?.gap)
)

/**
 * As `use` of a service, for what is to give way to the next connection, such as a consumer: it is given an Effect as well that
 * completes when there is a later connection, and fails when the service stops or gives up. While a connection that was replaced,
 * or that is drained, is still open, what has been begun on it can be brought to its end.
 *
 * It waits from the moment in which the connection is given, so a stop that a start follows at once is not missed.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ClientService } from "effect-client-service"
 *
 * interface Jobs {
 *   readonly received: Stream.Stream<string>
 *   readonly cancel: Effect.Effect<void>
 * }
 *
 * declare const service: ClientService.ClientService<Jobs>
 *
 * // Once there is a later connection, it asks for no more, and finishes what it has received.
 * const work = ClientService.useUntilNext(service, (jobs, next) =>
 *   Effect.fork(Effect.zipRight(Effect.ignore(next), jobs.cancel)).pipe(
 *     Effect.zipRight(Stream.runForEach(jobs.received, Effect.log))
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const useUntilNext = <P, E, A, E2, R>(
  service: ClientService<P, E>,
  f: (protocol: P, next: Effect.Effect<unknown, ServiceStopped | RetriesExhausted<E>>) => Effect.Effect<A, E2, R>
): Effect.Effect<A, E2 | ServiceStopped | RetriesExhausted<E> | ConnectionLost, R> => sourceFor(service).useUntilNext(f)

const sourceFor = <P, E>(service: ClientService<P, E>) =>
  isOurs(service) ? sourceOf(service.internals) : sourceOfStub(service)

// A test of an application may have one of its own.
const isOurs = <P, E>(service: ClientService<P, E>): service is ClientService<P, E> & Service<P, E, never> =>
  service instanceof Service

/**
 * @since 0.1.0
 * @category options
 */
export interface StreamOptions<in P, out Gap> {
  /** Gives what comes before the first element of every connection but the first. Default: nothing does. */
  readonly gap?: ((protocol: P) => Gap) | undefined
}

/**
 * Has the service connect now at each element of a stream, as `reconnect` does, such as that the network is back, that
 * credentials were rotated, or a signal of the system. It runs as long as the stream does. However many elements there are,
 * there is one attempt at a time.
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { ClientService } from "effect-client-service"
 *
 * declare const service: ClientService.ClientService<string>
 * declare const rotations: Stream.Stream<void>
 *
 * const reconnecting = service.pipe(ClientService.reconnectOn(rotations))
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const reconnectOn: {
  <A, E2, R>(stream: Stream.Stream<A, E2, R>): <P, E>(service: ClientService<P, E>) => Effect.Effect<void, E2, R>
  <P, E, A, E2, R>(service: ClientService<P, E>, stream: Stream.Stream<A, E2, R>): Effect.Effect<void, E2, R>
} = /* @__PURE__ */ dual(
  2,
  <P, E, A, E2, R>(service: ClientService<P, E>, stream: Stream.Stream<A, E2, R>): Effect.Effect<void, E2, R> =>
    Stream.runForEach(stream, () => service.reconnect)
)

/**
 * Is it still there? Probes the connection of a service now, and replaces it only if there is no answer, as its `check` does.
 *
 * @example
 * ```ts
 * import { ClientService } from "effect-client-service"
 *
 * declare const service: ClientService.ClientService<string>
 *
 * const isThere = ClientService.check(service, { timeout: "2 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 * @throws InvalidOption as `check` of the service does
 */
export const check: {
  (options?: CheckOptions): <P, E>(service: ClientService<P, E>) => Effect.Effect<boolean>
  <P, E>(service: ClientService<P, E>, options?: CheckOptions): Effect.Effect<boolean>
} = /* @__PURE__ */ dual(
  (args) => Predicate.hasProperty(args[0], TypeId),
  <P, E>(service: ClientService<P, E>, options?: CheckOptions): Effect.Effect<boolean> => service.check(options)
)

/**
 * Checks the connection at each element of a stream, as `check` does, such as those of `Wakeups`: that the network is back, that
 * the page is shown again, that the clock has jumped. It runs as long as the stream does. However many elements there are, there
 * is one probe at a time, and what answers is left alone.
 *
 * @example
 * ```ts
 * import { ClientService, Wakeups } from "effect-client-service"
 *
 * declare const service: ClientService.ClientService<string>
 *
 * const checking = service.pipe(ClientService.checkOn(Wakeups.any, { timeout: "2 seconds" }))
 * ```
 *
 * @since 0.1.0
 * @category streams
 * @throws InvalidOption as `check` does
 */
export const checkOn: {
  <A, E2, R>(
    stream: Stream.Stream<A, E2, R>,
    options?: CheckOptions
  ): <P, E>(service: ClientService<P, E>) => Effect.Effect<void, E2, R>
  <P, E, A, E2, R>(
    service: ClientService<P, E>,
    stream: Stream.Stream<A, E2, R>,
    options?: CheckOptions
  ): Effect.Effect<void, E2, R>
} = /* @__PURE__ */ dual(
  (args) => Predicate.hasProperty(args[0], TypeId),
  <P, E, A, E2, R>(
    service: ClientService<P, E>,
    stream: Stream.Stream<A, E2, R>,
    options?: CheckOptions
  ): Effect.Effect<void, E2, R> => {
    const checking = service.check(options)
    let isChecking = false
    const check = Effect.suspend(() => {
      isChecking = true
      return Effect.ensuring(
        checking,
        Effect.sync(() => {
          isChecking = false
        })
      )
    })
    // What comes while one is under way asks the same.
    return stream.pipe(
      Stream.filter(() => !isChecking),
      Stream.mapEffect(() => check, { concurrency: "unbounded", unordered: true }),
      Stream.runDrain
    )
  }
)

/**
 * The class of a service's tag, with what is most used of the service as statics.
 *
 * @since 0.1.0
 * @category tags
 */
export interface TagClass<Self, Id extends string, P, E> extends Context.TagClass<Self, Id, ClientService<P, E>> {
  /** Makes a Layer of this service, as `ClientService.layer` does. */
  readonly layer: <
    T extends Endpoint<unknown, E, unknown>,
    Made extends AnyEffect<P, E> = never,
    Prepared extends AnyEffect<unknown, E> = Effect.Effect<unknown, E>,
    Probed extends AnyEffect<unknown, E> = Effect.Effect<unknown, E>,
    R = never,
    W extends WaitForConnection = never
  >(
    options: LayerOptions<P, E, T, Made, Prepared, Probed, R, W> & ProtocolIfNeeded<P, T, Made>
  ) => Layer.Layer<
    Self,
    WaitError<W, E>,
    Endpoint.Context<T> | Exclude<ContextOf<Made | Prepared | Probed> | R, Scope.Scope>
  >
  /** Starts this service, as its `start` does. */
  readonly start: Effect.Effect<void, never, Self>
  /** Stops this service, as its `stop` does. */
  readonly stop: Effect.Effect<void, never, Self>
  /** Has this service connect now, as its `reconnect` does. */
  readonly reconnect: Effect.Effect<void, never, Self>
  /** Checks the connection of this service, as its `check` does. */
  readonly check: (options?: CheckOptions) => Effect.Effect<boolean, never, Self>
  /** What this service is doing, and every change of that. */
  readonly state: Subscribable.Subscribable<ConnectionState.ConnectionState<P, E>, never, Self>
  /** Waits for a connection of this service. */
  readonly whenConnected: WhenConnected<P, E, Self>
  /** Runs an Effect with the protocol of this service. */
  readonly use: Use<P, E, Self>
  /** Waits for the promise that a function gives with the protocol of this service. */
  readonly usePromise: UsePromise<P, E, Self>
  /** A stream over the connections of this service, as `ClientService.stream` makes it. */
  readonly stream: <A, E2, R, Gap = never>(
    f: (protocol: P) => Stream.Stream<A, E2, R>,
    options?: StreamOptions<P, Gap>
  ) => Stream.Stream<A | Gap, E2 | ServiceStopped | RetriesExhausted<E>, R | Self>
}

/**
 * Makes a class that is the tag of a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ClientService, Endpoint } from "effect-client-service"
 *
 * class Greeter extends ClientService.Tag("app/Greeter")<Greeter, string>() {}
 *
 * const GreeterLive = Greeter.layer({
 *   endpoint: Endpoint.make({ name: "greeter", connect: () => Effect.succeed("hello") })
 * })
 *
 * const program = Effect.provide(Greeter.whenConnected(), GreeterLive)
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag =
  <const Id extends string>(key: Id) =>
  <Self, P, E = never>(): TagClass<Self, Id, P, E> => {
    const tag = Context.Tag(key)<Self, ClientService<P, E>>()
    function whenConnected(options?: {
      readonly failAfterFailures?: undefined
    }): Effect.Effect<P, ServiceStopped | RetriesExhausted<E>, Self>
    function whenConnected(
      options: WaitForConnection | undefined
    ): Effect.Effect<P, AttemptError<E> | ServiceStopped | RetriesExhausted<E>, Self>
    function whenConnected(
      options?: WaitForConnection
    ): Effect.Effect<P, AttemptError<E> | ServiceStopped | RetriesExhausted<E>, Self> {
      return Effect.flatMap(tag, (service) => service.whenConnected(options))
    }
    function use<A, E2, R>(
      f: (protocol: P) => Effect.Effect<A, E2, R>,
      options?: { readonly maxWait?: undefined }
    ): Effect.Effect<A, E2 | ConnectionLost | ServiceStopped | RetriesExhausted<E>, R | Self>
    function use<A, E2, R>(
      f: (protocol: P) => Effect.Effect<A, E2, R>,
      options: UseOptions | undefined
    ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, R | Self>
    function use<A, E2, R>(
      f: (protocol: P) => Effect.Effect<A, E2, R>,
      options?: UseOptions
    ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, R | Self> {
      return Effect.flatMap(tag, (service) => service.use(f, options))
    }
    function usePromise<A, E2 = Cause.UnknownException>(
      f: PromiseUse<P, A, E2>,
      options?: { readonly maxWait?: undefined }
    ): Effect.Effect<A, E2 | ConnectionLost | ServiceStopped | RetriesExhausted<E>, Self>
    function usePromise<A, E2 = Cause.UnknownException>(
      f: PromiseUse<P, A, E2>,
      options: UseOptions | undefined
    ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, Self>
    function usePromise<A, E2>(
      f: PromiseUse<P, A, E2>,
      options?: UseOptions
    ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | ServiceStopped | RetriesExhausted<E>, Self> {
      return Effect.flatMap(tag, (service) => service.usePromise(f, options))
    }
    const statics: Omit<TagClass<Self, Id, P, E>, keyof Context.TagClass<Self, Id, ClientService<P, E>>> = {
      layer: (options) => layer(tag, options),
      start: Effect.flatMap(tag, ({ start }) => start),
      stop: Effect.flatMap(tag, ({ stop }) => stop),
      reconnect: Effect.flatMap(tag, ({ reconnect }) => reconnect),
      check: (options) => Effect.flatMap(tag, (service) => service.check(options)),
      state: Subscribable.make({
        get: Effect.flatMap(tag, ({ state }) => state.get),
        changes: Stream.unwrap(Effect.map(tag, ({ state }) => state.changes))
      }),
      whenConnected,
      use,
      usePromise,
      stream: (f, options) => Stream.unwrap(Effect.map(tag, (service) => stream(service, f, options)))
    }
    return Object.assign(tag, statics)
  }

// The options with the errors and the needs of each apart, as `make` puts them together.
type CommonOf<P, E, E3, R3, R4, E4, R5> = CommonOptions<
  P,
  E,
  Effect.Effect<unknown, E3, R3 | Scope.Scope>,
  Effect.Effect<unknown, E4, R5 | Scope.Scope>,
  R4 | Scope.Scope
>

interface EndpointOptions<P, E1, R1, E3, R3, R4, E4, R5> extends CommonOf<P, E1 | E3 | E4, E3, R3, R4, E4, R5> {
  readonly endpoint: Endpoint<P, E1, R1>
  readonly protocol?: undefined
}

interface ProtocolOptions<T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5>
  extends CommonOf<P, E1 | E2 | ES | E3 | E4, E3, R3, R4, E4, R5> {
  readonly endpoint: Endpoint<T, E1, R1>
  readonly protocol: (transport: T, signal: ConnectionSignal<ES>) => Effect.Effect<P, E2, R2 | Scope.Scope>
}

type AnyOptions<T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5> =
  | EndpointOptions<P, E1, R1, E3, R3, R4, E4, R5>
  | ProtocolOptions<T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5>

const makeAny = <T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5>(
  where: string,
  options: AnyOptions<T, E1, R1, P, E2, R2, ES, E3, R3, R4, E4, R5>
) => {
  Validate.object(where, "options", options)
  const { endpoint, prepare, protocol } = options
  Validate.callback(where, "endpoint.connect", endpoint?.connect)
  if (prepare !== undefined) Validate.callback(where, "prepare", prepare)
  return protocol === undefined
    ? makeOf<P, E1 | E3 | E4, E3, R3, R4, E4, R5, R1 | Exclude<R3, Scope.Scope>>(
        where,
        options,
        endpoint,
        prepared((signal) => options.endpoint.connect(signal), prepare)
      )
    : makeOf<P, E1 | E2 | ES | E3 | E4, E3, R3, R4, E4, R5, R1 | Exclude<R2, Scope.Scope> | Exclude<R3, Scope.Scope>>(
        where,
        options,
        endpoint,
        prepared(protocolOver(endpoint, Validate.callback(where, "protocol", protocol)), prepare)
      )
}

const makeOf = <P, E, E3, R3, R4, E4 extends E, R5, RA>(
  where: string,
  options: CommonOf<P, E, E3, R3, R4, E4, R5>,
  endpoint: Endpoint.Any,
  attempt: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, RA | Scope.Scope>
): Effect.Effect<ClientService<P, E>, never, RA | R4 | R5 | Scope.Scope> => {
  type R = RA | R4 | R5
  const name = Validate.text(where, "name", options.name ?? endpoint.name)
  const connectTimeout = Validate.positiveDuration(where, "connectTimeout", options.connectTimeout ?? "30 seconds")
  const closeTimeout = Validate.duration(where, "closeTimeout", options.closeTimeout ?? "5 seconds")
  const resetAfter = Validate.duration(where, "resetAfter", options.resetAfter ?? "5 seconds")
  const drainTimeout = Validate.duration(where, "drainTimeout", options.drainTimeout ?? 0)
  const maxAge = Validate.positiveDuration(where, "maxAge", options.maxAge ?? Duration.infinity)
  const retryPolicy = retryPolicyOf(where, options.retryPolicy)
  const { heartbeat } = options
  if (heartbeat !== undefined) {
    Validate.callback(where, "heartbeat.probe", Validate.object(where, "heartbeat", heartbeat).probe)
  }
  const lastReceived = heartbeat?.lastReceived

  return makeService<P, E, R>({
    name,
    label: options.name,
    endpoint: endpoint.name,
    server: endpoint.server,
    connectionSpan: options.connectionSpan ?? false,
    connect: attempt,
    heartbeat: heartbeat && {
      probe: (protocol) => Effect.scoped(Effect.suspend(() => heartbeat.probe(protocol))),
      interval: Validate.positiveDuration(where, "heartbeat.interval", heartbeat.interval),
      timeout: Validate.positiveDuration(where, "heartbeat.timeout", heartbeat.timeout),
      lastReceived: lastReceived && Validate.callback(where, "heartbeat.lastReceived", lastReceived)
    },
    retryPolicy,
    connectTimeout,
    closeTimeout,
    drainTimeout,
    resetAfter,
    maxAge
  })
}
