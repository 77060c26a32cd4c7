import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { type ConnectionError, ConnectionLost, ConnectTimeout } from "../ConnectionError.js"
import type { ConnectionSignal } from "../Endpoint.js"
import type { AttemptSpans } from "./attemptSpans.js"
import { AttemptStatus } from "./attemptStatus.js"
import type { Fork } from "./fork.js"
import { within } from "./sleep.js"
import { Waiters } from "./waiters.js"

export interface Settings<P, E, R> {
  readonly name: string
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
  /** Watches over a connection that is up, and gives the cause when it has to be given up. */
  readonly watch: ((protocol: P) => Effect.Effect<Cause.Cause<ConnectionError<E>>, never, R>) | undefined
  readonly connectTimeout: Duration.Duration
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  readonly spans: AttemptSpans
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
 */
export class Connection<P, E, R> {
  /** What the connection is while it is up: not yet during the attempt, and no more once it is lost or closing. */
  established: Established<P> | undefined
  private outcome: Exit.Exit<P, ConnectionError<E>> | undefined
  private end: { readonly reason: unknown } | undefined
  private closing: Closing | undefined
  private users = 0
  private readonly status = { isEstablished: false }
  /** All that runs for this connection: the attempt, the watch over it, and its retirement. */
  private readonly fibers: Array<Fiber.RuntimeFiber<unknown>> = []
  private readonly changes = new Waiters()
  private readonly unused = new Waiters()

  /** Begins an attempt. */
  constructor(
    private readonly settings: Settings<P, E, R>,
    private readonly scope: Scope.CloseableScope,
    private readonly span: Tracer.Span | undefined
  ) {
    const signal: ConnectionSignal<E> = { lost: (error) => this.lost(error) }
    const services = Context.make(Scope.Scope, scope).pipe(Context.add(AttemptStatus, this.status))
    const attempt = settings.fork<Exit.Exit<P, E>, never, Scope.Scope>(
      // As an Exit, since a fiber that fails with nobody to join it would be logged for that.
      Effect.exit(Effect.suspend(() => settings.connect(signal))),
      { services: span === undefined ? services : Context.add(services, Tracer.ParentSpan, span) }
    )
    attempt.addObserver((exit) => {
      if (this.outcome === undefined) this.settle(Exit.flatten(exit))
    })
    this.fibers.push(attempt)
  }

  /** Why the attempt failed or the connection was lost. */
  get failure(): Cause.Cause<ConnectionError<E>> | undefined {
    return this.outcome?._tag === "Failure" ? this.outcome.cause : undefined
  }

  /** Waits for the outcome of the attempt, for `connectTimeout` at most. */
  get settled(): Effect.Effect<unknown> {
    const settled = () => this.outcome !== undefined
    return within(Duration.toMillis(this.settings.connectTimeout), settled, this.changes.waitUntil(settled))
  }

  /** Declares the connection up, if the attempt has succeeded. One that is still under way has timed out. */
  establish(generation: number): Exit.Exit<P, ConnectionError<E>> {
    const { connectTimeout: duration, fork, name: service, watch } = this.settings
    const outcome = this.outcome ?? this.fail(Cause.fail(new ConnectTimeout({ service, duration })))
    if (Exit.isFailure(outcome)) return outcome
    const protocol = outcome.value
    this.status.isEstablished = true
    this.established = {
      protocol,
      generation,
      succeed: Effect.succeed(protocol),
      use: (f) => this.use(Effect.suspend(() => f(protocol)))
    }
    if (watch !== undefined) {
      this.fibers.push(fork(Effect.map(watch(protocol), (cause) => this.failUnlessEnded(cause))))
    }
    return outcome
  }

  private fail(cause: Cause.Cause<ConnectionError<E>>): Exit.Exit<never, ConnectionError<E>> {
    const exit = Exit.failCause(cause)
    this.established = undefined
    this.end ??= { reason: Cause.squash(cause) }
    this.settle(exit)
    return exit
  }

  private lost(error: E | undefined): void {
    this.failUnlessEnded(Cause.fail(error ?? connectionLost(this.settings.name)))
  }

  private failUnlessEnded(cause: Cause.Cause<ConnectionError<E>>): void {
    if (this.closing === undefined && this.failure === undefined) this.fail(cause)
  }

  private settle(exit: Exit.Exit<P, ConnectionError<E>>): void {
    if (this.outcome === undefined) this.settings.spans.end(this.span, exit)
    this.outcome = exit
    this.changes.resumeAll(Effect.void)
  }

  /** Waits until the attempt has failed or the connection is lost, for so many milliseconds. */
  failed(millis: number): Effect.Effect<unknown> {
    const failed = () => this.failure !== undefined
    return within(millis, failed, this.changes.waitUntil(failed))
  }

  private use<A, E2, R2>(effect: Effect.Effect<A, E2, R2>): Effect.Effect<A, E2 | ConnectionLost, R2> {
    const isOver = () => this.end !== undefined
    const over = Effect.flatMap(
      this.changes.waitUntil(isOver),
      () => new ConnectionLost({ service: this.settings.name, cause: this.end?.reason })
    )
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.users += 1
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
          this.users -= 1
          if (this.users === 0) this.unused.resumeAll(Effect.void)
        })
    )
  }

  /** Closes the connection when nobody uses it any more, or when `closeTimeout` has passed. */
  retire(): void {
    const { closeTimeout, fork } = this.settings
    const isUnused = () => this.users === 0
    const idle = within(closeTimeout, isUnused, this.unused.waitUntil(isUnused))
    this.fibers.push(fork(Effect.map(idle, () => this.close())))
  }

  /**
   * Halts the attempt and closes what it acquired: at once, as far as that takes no waiting. Finalizers may call the
   * service back.
   */
  close(reason?: unknown): void {
    if (this.closing !== undefined) return
    this.established = undefined
    this.end ??= { reason }
    this.changes.resumeAll(Effect.void)
    this.closing = { since: this.settings.clock.unsafeCurrentTimeMillis(), fiber: undefined }
    this.closing.fiber = this.settings.fork(this.release, { atOnce: true })
  }

  // An attempt that ignores its interruption must not keep what it acquired so far open. What it acquires later is
  // released at once, since the Scope is closed by then.
  private readonly release: Effect.Effect<void> = Effect.suspend(() => {
    for (const fiber of this.fibers) fiber.unsafeInterruptAsFork(FiberId.none)
    const halted = () => this.fibers.every((fiber) => fiber.unsafePoll() !== null)
    return within(this.settings.closeTimeout, halted, Fiber.awaitAll(this.fibers))
  }).pipe(
    Effect.flatMap(() => Scope.close(this.scope, this.failure === undefined ? Exit.void : Exit.failCause(this.failure)))
  )

  private get isClosed(): boolean {
    return this.closing?.fiber !== undefined && this.closing.fiber.unsafePoll() !== null
  }

  /** How much of `closeTimeout` is left to a connection that is closing, in milliseconds. */
  get closeTimeLeft(): number {
    if (this.closing === undefined || this.isClosed) return 0
    // The clock may have been set back.
    const elapsed = Math.max(0, this.settings.clock.unsafeCurrentTimeMillis() - this.closing.since)
    return Math.max(0, this.settings.closeTimeout - elapsed)
  }

  /** Waits until a connection that retires is closed, or `closeTimeout` has passed for that too. */
  get retired(): Effect.Effect<boolean> {
    return Effect.zipRight(
      this.changes.waitUntil(() => this.closing !== undefined),
      this.closed
    )
  }

  /** Waits until the connection is closed, or `closeTimeout` has passed, and tells whether it is. */
  readonly closed: Effect.Effect<boolean> = Effect.suspend(() =>
    this.closing?.fiber === undefined
      ? Effect.succeed(true)
      : within(this.closeTimeLeft, () => this.isClosed, Fiber.await(this.closing.fiber))
  )
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
