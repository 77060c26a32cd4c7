import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import {
  type AttemptError,
  type ConnectionError,
  ConnectionLost,
  ConnectTimeout,
  HeartbeatTimeout,
  ServiceStopped
} from "../ConnectionError.js"
import type { ConnectionSignal } from "../Endpoint.js"
import type { AttemptSpans } from "./attemptSpans.js"
import { AttemptStatus } from "./attemptStatus.js"
import type { Fork } from "./fork.js"
import type { DisconnectReason, Metrics } from "./metrics.js"
import { whenEnded, within } from "./sleep.js"
import { Waiters, waitUntil } from "./waiters.js"

export interface Settings<P, E, R> {
  readonly name: string
  /** A whole attempt: connect, `protocol` and `prepare`. */
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
  /** Watches over a connection that is up, and gives the cause when it has to be given up. */
  readonly watch: ((protocol: P) => Effect.Effect<Cause.Cause<ConnectionError<E>>, never, R>) | undefined
  readonly connectTimeout: Duration.Duration
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  readonly spans: AttemptSpans
  readonly metrics: Metrics
}

/** A connection that is up. */
export interface Established<out P> {
  readonly protocol: P
  readonly generation: number
  /** Gives the protocol. */
  readonly succeed: Effect.Effect<P>
  /** Runs an Effect with the protocol, but no longer than the connection is up. */
  readonly use: <A, E, R>(f: (protocol: P) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | ConnectionLost, R>
}

interface Closing {
  readonly since: number
  fiber: Fiber.RuntimeFiber<unknown> | undefined
}

/**
 * An attempt and the connection that comes of it, with the Scope of all that they acquire.
 *
 * There is one for every connected service, and services are many: what is over is let go of.
 */
export class Connection<P, E, R> {
  /** What the connection is while it is up: not yet during the attempt, and no more once it is lost or closing. */
  established: Established<P> | undefined
  readonly #settings: Settings<P, E, R>
  readonly #scope: Scope.CloseableScope
  #span: Tracer.Span | undefined
  readonly #onFailure: (connection: Connection<P, E, R>) => void
  #outcome: Exit.Exit<P, AttemptError<E>> | undefined
  #loss: Cause.Cause<ConnectionError<E>> | undefined
  #end: { readonly reason: unknown } | undefined
  #closing: Closing | undefined
  /** When the attempt began, until its outcome is counted. */
  #attemptingSince: number | undefined
  /** When the connection came up, until its end is counted. */
  #upSince: number | undefined
  #users = 0
  readonly #status = { isEstablished: false }
  #attempt: Fiber.RuntimeFiber<unknown> | undefined
  #watcher: Fiber.RuntimeFiber<unknown> | undefined
  #retirement: Fiber.RuntimeFiber<unknown> | undefined
  readonly #changes = new Waiters()
  readonly #unused = new Waiters()

  /** Begins an attempt. */
  constructor(
    settings: Settings<P, E, R>,
    scope: Scope.CloseableScope,
    span: Tracer.Span | undefined,
    onFailure: (connection: Connection<P, E, R>) => void
  ) {
    this.#settings = settings
    this.#scope = scope
    this.#span = span
    this.#onFailure = onFailure
    this.#attemptingSince = this.#now()
    const signal: ConnectionSignal<E> = { lost: (error) => this.#lost(error) }
    const services = Context.make(Scope.Scope, scope).pipe(Context.add(AttemptStatus, this.#status))
    const attempt = settings.fork.soonWith<Exit.Exit<P, E>, never, Scope.Scope>(
      // As an Exit, since a fiber that fails with nobody to join it would be logged for that.
      Effect.exit(Effect.suspend(() => settings.connect(signal))),
      span === undefined ? services : Context.add(services, Tracer.ParentSpan, span)
    )
    attempt.addObserver((exit) => {
      if (this.#outcome === undefined) this.#settle(Exit.flatten(exit))
    })
    this.#keep(attempt, (fiber) => {
      this.#attempt = fiber
    })
  }

  /** Waits for the outcome of the attempt, for `connectTimeout` at most. */
  get settled(): Effect.Effect<unknown> {
    const isSettled = () => this.#outcome !== undefined
    return this.#within(Duration.toMillis(this.#settings.connectTimeout), isSettled)
  }

  /** Declares the connection up, if the attempt has succeeded. One that is still under way has timed out. */
  establish(generation: number): Exit.Exit<P, AttemptError<E>> {
    const { connectTimeout: duration, fork, metrics, name: service, watch } = this.#settings
    const since = this.#attemptingSince ?? this.#now()
    this.#attemptingSince = undefined
    if (this.#outcome === undefined) {
      metrics.attempted("timed_out")
      return this.#fail(Cause.fail(new ConnectTimeout({ service, duration })))
    }
    if (Exit.isFailure(this.#outcome)) {
      metrics.attempted("failed")
      return this.#outcome
    }
    const protocol = this.#outcome.value
    this.#upSince = this.#now()
    metrics.connected(this.#upSince - since)
    this.#status.isEstablished = true
    this.established = {
      protocol,
      generation,
      succeed: Effect.succeed(protocol),
      use: (f) => this.#use(Effect.suspend(() => f(protocol)))
    }
    if (watch !== undefined)
      this.#keep(fork.soon(Effect.map(watch(protocol), (cause) => this.#lose(cause))), (fiber) => {
        this.#watcher = fiber
      })
    return this.#outcome
  }

  /** Why the attempt failed or the connection was lost. */
  get failure(): Cause.Cause<ConnectionError<E>> | undefined {
    return this.#loss
  }

  /** Waits until the attempt has failed or the connection is lost, for so many milliseconds. */
  failed(millis: number): Effect.Effect<unknown> {
    const isLost = () => this.#loss !== undefined
    return this.#within(millis, isLost)
  }

  #use<A, E2, R2>(effect: Effect.Effect<A, E2, R2>): Effect.Effect<A, E2 | ConnectionLost, R2> {
    const isOver = () => this.#end !== undefined
    const over = Effect.flatMap(
      waitUntil(this.#changes, isOver),
      () => new ConnectionLost({ service: this.#settings.name, cause: this.#end?.reason })
    )
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.#users += 1
      }),
      () =>
        Effect.raceFirst(
          // The race begins a turn later than the connection was found to be up.
          Effect.suspend(() => (isOver() ? Effect.never : effect)),
          // Interruptible also where the caller is not, or the race could not end it.
          Effect.interruptible(over)
        ),
      () =>
        Effect.sync(() => {
          this.#users -= 1
          if (this.#users === 0) this.#unused.resumeAll()
        })
    )
  }

  /** Closes the connection when nobody uses it any more, or when `closeTimeout` has passed. */
  retire(): void {
    const isUnused = () => this.#users === 0
    const { closeTimeout, fork } = this.#settings
    const unused = within(fork, closeTimeout, isUnused, (wake) => this.#unused.subscribe(wake))
    this.#keep(fork.soon(Effect.map(unused, () => this.close())), (fiber) => {
      this.#retirement = fiber
    })
  }

  /** Waits until a connection that retires is closed, or `closeTimeout` has passed for that too. */
  get retired(): Effect.Effect<boolean> {
    return Effect.zipRight(
      waitUntil(this.#changes, () => this.#closing !== undefined),
      this.closed
    )
  }

  /**
   * Halts the attempt and closes what it acquired: at once, as far as that takes no waiting. Finalizers may call the
   * service back.
   */
  close(reason?: unknown): void {
    if (this.#closing !== undefined) return
    this.established = undefined
    this.#end ??= { reason }
    this.#changes.resumeAll()
    this.#count()
    this.#closing = { since: this.#now(), fiber: undefined }
    this.#closing.fiber = this.#settings.fork.now(this.#release)
  }

  /** Waits until the connection is closed, or `closeTimeout` has passed, and tells whether it is. */
  get closed(): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const fiber = this.#closing?.fiber
      return fiber === undefined
        ? Effect.succeed(true)
        : within(this.#settings.fork, this.closeTimeLeft, () => this.#isClosed, whenEnded(fiber))
    })
  }

  /** How much of `closeTimeout` is left to a connection that is closing, in milliseconds. */
  get closeTimeLeft(): number {
    if (this.#closing === undefined || this.#isClosed) return 0
    // The clock may have been set back.
    const elapsed = Math.max(0, this.#now() - this.#closing.since)
    return Math.max(0, this.#settings.closeTimeout - elapsed)
  }

  /** Whether the connection is being closed. */
  get isClosing(): boolean {
    return this.#closing !== undefined && !this.#isClosed
  }

  get #isClosed(): boolean {
    return this.#closing?.fiber !== undefined && this.#closing.fiber.unsafePoll() !== null
  }

  // An attempt that ignores its interruption must not keep what it acquired so far open. What it acquires later is
  // released at once, since the Scope is closed by then.
  get #release(): Effect.Effect<void> {
    this.#attempt?.unsafeInterruptAsFork(FiberId.none)
    this.#watcher?.unsafeInterruptAsFork(FiberId.none)
    this.#retirement?.unsafeInterruptAsFork(FiberId.none)
    const isHalted = () => this.#attempt === undefined && this.#watcher === undefined && this.#retirement === undefined
    return Effect.flatMap(this.#within(this.#settings.closeTimeout, isHalted), () =>
      Scope.close(this.#scope, this.#loss === undefined ? Exit.void : Exit.failCause(this.#loss))
    )
  }

  #lost(error: E | undefined): void {
    if (this.#isOver) return
    const cause = Cause.fail(error ?? connectionLost(this.#settings.name))
    if (this.established === undefined) this.#fail(cause)
    else this.#lose(cause)
  }

  #fail(cause: Cause.Cause<AttemptError<E>>): Exit.Exit<never, AttemptError<E>> {
    const exit = Exit.failCause(cause)
    this.#settle(exit)
    return exit
  }

  #settle(exit: Exit.Exit<P, AttemptError<E>>): void {
    if (this.#span !== undefined) this.#settings.spans.end(this.#span, exit)
    this.#span = undefined
    this.#outcome = exit
    if (Exit.isFailure(exit)) this.#lose(exit.cause)
    else this.#changes.resumeAll()
  }

  #lose(cause: Cause.Cause<ConnectionError<E>>): void {
    if (this.#isOver) return
    this.#loss = cause
    this.established = undefined
    this.#end ??= { reason: Cause.squash(cause) }
    this.#changes.resumeAll()
    this.#onFailure(this)
  }

  #count(): void {
    const { metrics } = this.#settings
    if (this.#attemptingSince !== undefined) metrics.attempted("interrupted")
    if (this.#upSince !== undefined) metrics.disconnected(this.#disconnectReason, this.#now() - this.#upSince)
    this.#attemptingSince = undefined
    this.#upSince = undefined
  }

  get #disconnectReason(): DisconnectReason {
    const reason = this.#end?.reason
    if (reason instanceof ServiceStopped) return "stopped"
    if (reason instanceof HeartbeatTimeout) return "heartbeat"
    return this.#loss === undefined ? "replaced" : "lost"
  }

  #now(): number {
    return this.#settings.clock.unsafeCurrentTimeMillis()
  }

  #within(millis: number, holds: () => boolean): Effect.Effect<boolean> {
    return within(this.#settings.fork, millis, holds, (wake) => this.#changes.subscribe(wake))
  }

  get #isOver(): boolean {
    return this.#closing !== undefined || this.#loss !== undefined
  }

  #keep(fiber: Fiber.RuntimeFiber<unknown>, set: (fiber: Fiber.RuntimeFiber<unknown> | undefined) => void): void {
    set(fiber)
    fiber.addObserver(() => {
      set(undefined)
      this.#changes.resumeAll()
    })
  }
}

// The stack of a loss is that of some event listener. It tells nothing, and costs a sixth of a reconnect.
const connectionLost = (service: string): ConnectionLost => {
  const errors: ErrorConstructor & { stackTraceLimit?: number } = Error
  const limit = errors.stackTraceLimit
  errors.stackTraceLimit = 0
  const error = new ConnectionLost({ service })
  if (limit !== undefined) errors.stackTraceLimit = limit
  return error
}
