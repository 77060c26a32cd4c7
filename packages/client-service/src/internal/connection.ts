import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { type ConnectionError, ConnectionLost } from "../ConnectionError.js"
import type { ConnectionSignal } from "../Endpoint.js"
import type { AttemptSpans } from "./attemptSpans.js"
import type { Fork } from "./fork.js"
import { within } from "./sleep.js"
import { Waiters } from "./waiters.js"

export interface Settings<P, E, R> {
  readonly name: string
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
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
  private readonly attempt: Fiber.RuntimeFiber<Exit.Exit<P, E>>
  private readonly changes = new Waiters()

  /** Begins an attempt. */
  constructor(
    private readonly settings: Settings<P, E, R>,
    private readonly scope: Scope.CloseableScope,
    private readonly span: Tracer.Span | undefined
  ) {
    const signal: ConnectionSignal<E> = { lost: (error) => this.lost(error) }
    const services = Context.make(Scope.Scope, scope)
    this.attempt = settings.fork<Exit.Exit<P, E>, never, Scope.Scope>(
      // As an Exit, since a fiber that fails with nobody to join it would be logged for that.
      Effect.exit(Effect.suspend(() => settings.connect(signal))),
      { services: span === undefined ? services : Context.add(services, Tracer.ParentSpan, span) }
    )
    this.attempt.addObserver((exit) => {
      if (this.outcome === undefined) this.settle(Exit.flatten(exit))
    })
  }

  /** The outcome of the attempt, until the connection is lost; then the loss. */
  get result(): Exit.Exit<P, ConnectionError<E>> | undefined {
    return this.outcome
  }

  /** Declares the connection up. */
  establish(protocol: P, generation: number): void {
    this.established = {
      protocol,
      generation,
      succeed: Effect.succeed(protocol),
      use: (f) => this.use(Effect.suspend(() => f(protocol)))
    }
  }

  /** Ends the attempt or the connection with a failure. */
  fail(cause: Cause.Cause<ConnectionError<E>>): void {
    this.established = undefined
    this.end ??= { reason: Cause.squash(cause) }
    this.settle(Exit.failCause(cause))
  }

  private lost(error: E | undefined): void {
    if (this.closing !== undefined || this.failure !== undefined) return
    this.fail(Cause.fail(error ?? connectionLost(this.settings.name)))
  }

  private settle(exit: Exit.Exit<P, ConnectionError<E>>): void {
    if (this.outcome === undefined) this.settings.spans.end(this.span, exit)
    this.outcome = exit
    this.changes.resumeAll(Effect.void)
  }

  /** Why the attempt failed or the connection was lost. */
  get failure(): Cause.Cause<ConnectionError<E>> | undefined {
    return this.outcome?._tag === "Failure" ? this.outcome.cause : undefined
  }

  /** Waits for the result, for so many milliseconds. */
  settled(millis: number): Effect.Effect<unknown> {
    const settled = () => this.outcome !== undefined
    return within(millis, settled, this.changes.waitUntil(settled))
  }

  /** Waits until the attempt has failed or the connection is lost. */
  get failed(): Effect.Effect<void> {
    return this.changes.waitUntil(() => this.failure !== undefined)
  }

  private use<A, E2, R2>(effect: Effect.Effect<A, E2, R2>): Effect.Effect<A, E2 | ConnectionLost, R2> {
    const isOver = () => this.end !== undefined
    const over = Effect.flatMap(
      this.changes.waitUntil(isOver),
      () => new ConnectionLost({ service: this.settings.name, cause: this.end?.reason })
    )
    return Effect.raceFirst(
      // The race begins a turn later than the connection was found to be up.
      Effect.suspend(() => (isOver() ? Effect.never : effect)),
      // Interruptible also where the caller is not, or the race could not end it.
      Effect.interruptible(over)
    )
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
    this.attempt.unsafeInterruptAsFork(FiberId.none)
    const { closeTimeout } = this.settings
    return within(closeTimeout, () => this.attempt.unsafePoll() !== null, Fiber.await(this.attempt))
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
