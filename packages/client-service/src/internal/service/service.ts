import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import type { AttemptError, ConnectionError, ConnectionLost, NotConnected } from "../../ConnectionError.js"
import type { ConnectionState } from "../../ConnectionState.js"
import type { ConnectionSignal, ServerAddress } from "../../Endpoint.js"
import type { RetryPolicy } from "../../RetryPolicy.js"
import type { Heartbeat } from "../connection/heartbeat.js"
import { type AsyncUse, fromPromise, type PromiseUse, unknownException } from "../connection/use.js"
import { makeFork } from "../fork.js"
import * as Validate from "../options.js"
import { Instrumentation } from "../telemetry/instrumentation.js"
import type { Instruments } from "../telemetry/instruments.js"
import { Journal } from "../telemetry/journal.js"
import { type Register, Registry } from "../telemetry/registry.js"
import { Spans } from "../telemetry/spans.js"
import { Changes } from "../time/changes.js"
import { steady } from "../time/steady.js"
import { Current, type EndError } from "./current.js"
import { Loop } from "./loop.js"
import { Retries } from "./retries.js"
import type { Model } from "./table.js"

export const TypeId: unique symbol = Symbol.for("effect-client-service/ClientService")

export interface Settings<P, E, R> {
  readonly name: string
  /** The name of its own, if it has one. */
  readonly label: string | undefined
  readonly endpoint: string
  readonly server: ServerAddress | undefined
  readonly connectionSpan: boolean
  /** A whole attempt: connect, `protocol` and `prepare`. */
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
  readonly heartbeat: Heartbeat<P, E, R> | undefined
  readonly retryPolicy: RetryPolicy<ConnectionError<E>, R>
  readonly connectTimeout: Duration.Duration
  readonly closeTimeout: Duration.Duration
  readonly drainTimeout: Duration.Duration
  readonly resetAfter: Duration.Duration
  readonly maxAge: Duration.Duration
}

/** Makes a service in the Scope of the caller, and does not start it. */
export const makeService = <P, E, R>(
  settings: Settings<P, E, R>
): Effect.Effect<Service<P, E, R>, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const { connectTimeout, connectionSpan, endpoint, label, maxAge, name, retryPolicy, server } = settings
    const clock = steady(yield* Effect.clock)
    const fork = yield* makeFork<R>()
    const source = { service: name, endpoint, server, clock }
    const journal = new Journal(source)
    const measured = yield* (yield* Instrumentation)?.({ ...source, label }) ?? Effect.succeed(undefined)
    const registry = yield* Registry
    const place = registry?.isWanted ? registry.place(measured) : undefined
    const metrics = place?.instruments ?? measured
    const makeRetries = () =>
      new Retries<E, R>({
        policy: retryPolicy,
        timeout: Duration.toMillis(connectTimeout),
        clock,
        fork,
        onBroken: (cause) => journal.warn(loop.model, "retry policy broken", cause),
        onHasty: () => loop.hasty()
      })
    let observe: ReturnType<Register> | undefined
    const entered = (model: Model<P, E> | undefined) => {
      metrics?.entered(model?.state)
      observe?.(model)
    }
    const current: Current<P, E> = yield* Current.make<P, E>({
      name,
      clock,
      fork,
      state: () => loop.model.state,
      beforeWait: () => loop.beforeWait(),
      metrics
    })
    const loop: Loop<P, E, R> = new Loop<P, E, R>(
      // Field by field, since an object that is spread has a shape of its own, and services may be many.
      {
        name,
        connect: settings.connect,
        heartbeat: settings.heartbeat,
        connectTimeout,
        closeTimeout: Duration.toMillis(settings.closeTimeout),
        drainTimeout: Duration.toMillis(settings.drainTimeout),
        resetAfter: Duration.toMillis(settings.resetAfter),
        retries: makeRetries(),
        replacement: Duration.isFinite(maxAge)
          ? { maxAge: drawnAge(Duration.toMillis(maxAge)), retries: makeRetries() }
          : undefined,
        spans: new Spans(source, connectionSpan),
        metrics,
        entered,
        journal,
        clock,
        fork,
        changes: new Changes()
      },
      current
    )
    // Not Effect.addFinalizer, which keeps all that the fiber of the caller carries for as long as the Scope is open.
    const service = new Service(name, loop, current, metrics, settings.heartbeat?.timeout)
    yield* Effect.flatMap(Effect.scope, (scope) => {
      observe = place?.register(service)
      entered(loop.model)
      return Scope.addFinalizer(scope, loop.shutDown)
    }).pipe(Effect.uninterruptible)
    return service
  })

// A Random that dies costs the jitter, no more.
const drawnAge = (maxAge: number): Effect.Effect<number> =>
  Effect.map(Random.nextRange(0.8 * maxAge, maxAge), Math.round).pipe(
    Effect.catchAllCause(() => Effect.succeed(maxAge))
  )

/** There may be many services, so what each offers is made when it is asked for. */
export class Service<P, E, R> extends Inspectable.Class {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly name: string
  readonly #metrics: Instruments | undefined
  readonly #loop: Loop<P, E, R>
  readonly #current: Current<P, E>
  /** How long a check waits by default, if there can be one. */
  readonly #checkTimeout: Duration.Duration | undefined

  constructor(
    name: string,
    loop: Loop<P, E, R>,
    current: Current<P, E>,
    metrics: Instruments | undefined,
    checkTimeout: Duration.Duration | undefined
  ) {
    super()
    this.name = name
    this.#loop = loop
    this.#current = current
    this.#checkTimeout = checkTimeout
    this.#metrics = metrics
  }

  get start(): Effect.Effect<void> {
    return this.#loop.start
  }

  get stop(): Effect.Effect<void> {
    return this.#loop.stop
  }

  get reconnect(): Effect.Effect<void> {
    return this.#loop.reconnect
  }

  check(options?: CheckOptions): Effect.Effect<boolean> {
    const where = "check"
    if (this.#checkTimeout === undefined) {
      return Validate.refuse(where, "heartbeat", undefined, "an option of the service, with the probe to check by")
    }
    const { timeout } = options ?? {}
    return this.#loop.check(
      timeout === undefined ? this.#checkTimeout : Validate.positiveDuration(where, "timeout", timeout)
    )
  }

  get running(): Effect.Effect<boolean> {
    return Effect.sync(() => isRunning(this.#loop.model.state))
  }

  get state(): Subscribable.Subscribable<ConnectionState<P, E>> {
    return Subscribable.make({
      get: Effect.sync(() => this.#loop.model.state),
      changes: this.#loop.publisher.states
    })
  }

  get protocol(): Subscribable.Subscribable<Option.Option<P>> {
    return Subscribable.make({
      get: Effect.sync(() => this.#current.protocol),
      changes: this.#loop.publisher.protocols
    })
  }

  get connections(): Stream.Stream<P, EndError<E>> {
    return this.#current.connections
  }

  whenConnected(options?: { readonly failAfterFailures?: undefined }): Effect.Effect<P, EndError<E>>
  whenConnected(options: WaitOptions | undefined): Effect.Effect<P, AttemptError<E> | EndError<E>>
  whenConnected(options?: WaitOptions): Effect.Effect<P, AttemptError<E> | EndError<E>> {
    const failures = options?.failAfterFailures
    if (failures === undefined) return this.#current.whenConnected
    return this.#current.whenConnectedOrFailed(Validate.integer("whenConnected", "failAfterFailures", failures, 1))
  }

  use<A, E2, R2>(
    f: (protocol: P) => Effect.Effect<A, E2, R2>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, E2 | ConnectionLost | EndError<E>, R2>
  use<A, E2, R2>(
    f: (protocol: P) => Effect.Effect<A, E2, R2>,
    options: UseOptions | undefined
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | EndError<E>, R2>
  use<A, E2, R2>(
    f: (protocol: P) => Effect.Effect<A, E2, R2>,
    options?: UseOptions
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | EndError<E>, R2> {
    return this.#current.use(f, maxWaitOf("use", options))
  }

  usePromise<A, E2 = Cause.UnknownException>(
    f: Evaluate<P, A> | PromiseUse<P, A, E2>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, E2 | ConnectionLost | EndError<E>>
  usePromise<A, E2 = Cause.UnknownException>(
    f: Evaluate<P, A> | PromiseUse<P, A, E2>,
    options: UseOptions | undefined
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | EndError<E>>
  usePromise<A, E2>(
    f: Evaluate<P, A> | PromiseUse<P, A, E2>,
    options?: UseOptions
  ): Effect.Effect<A, E2 | Cause.UnknownException | ConnectionLost | NotConnected<E> | EndError<E>> {
    const maxWait = maxWaitOf("usePromise", options)
    return typeof f === "function"
      ? this.#current.useAsync(fromPromise({ try: f, catch: unknownException }), maxWait)
      : this.#current.useAsync(fromPromise(f), maxWait)
  }

  useAsync<A, E2 = never>(
    f: AsyncUse<P, A, E2>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, E2 | ConnectionLost | EndError<E>>
  useAsync<A, E2 = never>(
    f: AsyncUse<P, A, E2>,
    options: UseOptions | undefined
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | EndError<E>>
  useAsync<A, E2>(
    f: AsyncUse<P, A, E2>,
    options?: UseOptions
  ): Effect.Effect<A, E2 | ConnectionLost | NotConnected<E> | EndError<E>> {
    return this.#current.useAsync(f, maxWaitOf("useAsync", options))
  }

  /** For what builds on the service, beside what it offers. */
  get internals(): readonly [Current<P, E>, Instruments | undefined] {
    return [this.#current, this.#metrics]
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  toJSON() {
    const { attempt, failures, generation, state } = this.#loop.model
    return { _id: "ClientService", name: this.name, state: state._tag, attempt, failures, generation }
  }
}

type Evaluate<P, A> = PromiseUse<P, A, never>["try"]

interface WaitOptions {
  readonly failAfterFailures?: number | undefined
}

interface CheckOptions {
  readonly timeout?: Duration.DurationInput | undefined
}

interface UseOptions {
  readonly maxWait?: Duration.DurationInput | undefined
}

const maxWaitOf = (where: string, options: UseOptions | undefined): number =>
  options?.maxWait === undefined
    ? Number.POSITIVE_INFINITY
    : Duration.toMillis(Validate.duration(where, "maxWait", options.maxWait))

const isRunning = ({ _tag }: ConnectionState<unknown, unknown>): boolean =>
  _tag === "Connecting" || _tag === "Connected" || _tag === "Waiting" || _tag === "Restarting"
