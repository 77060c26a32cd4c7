import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { type AttemptError, type ConnectionError, ConnectionLost, ConnectTimeout } from "../../ConnectionError.js"
import type { ConnectionSignal } from "../../Endpoint.js"
import { outcome } from "../endpoints/tries.js"
import type { Fork } from "../fork.js"
import type { Instruments } from "../telemetry/instruments.js"
import { tellStage } from "../telemetry/spans.js"
import type { Changes } from "../time/changes.js"
import { monotonic } from "../time/monotonic.js"
import { deadline } from "../time/turn.js"
import { within } from "../time/within.js"
import { withoutStack } from "../withoutStack.js"
import { AttemptStatus, type Stage, type Status } from "./attemptStatus.js"
import { type Heartbeat, Pulse } from "./heartbeat.js"
import { isAwaited } from "./isAwaited.js"
import { originals } from "./originals.js"
import { type Established, isEstablished, isPending, type Phase, replaced } from "./phase.js"
import { Receivers } from "./receivers.js"
import { Users } from "./use.js"

export interface Settings<P, E, R> {
  readonly name: string
  /** A whole attempt: connect, `protocol` and `prepare`. */
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
  readonly heartbeat: Heartbeat<P, E, R> | undefined
  readonly connectTimeout: Duration.Duration
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  /** Tells of every change of a connection and its users. All connections of a service share it, which are two at most. */
  readonly changes: Changes
  readonly metrics: Instruments | undefined
}

/** Is told of every change of a phase, in the step in which it changes. */
export type Observer<P, E, R> = (connection: Connection<P, E, R>, before: Phase<P, E>, now: Phase<P, E>) => void

/**
 * An attempt and the connection that comes of it, with the Scope of all that they acquire.
 *
 * There is one for every connected service, and services are many: what is over is let go of.
 */
export class Connection<P, E, R> {
  readonly #settings: Settings<P, E, R>
  readonly #scope: Scope.CloseableScope
  readonly #span: Tracer.Span | undefined
  readonly #observer: Observer<P, E, R>
  readonly #status: Status
  #stage: Stage = "connect"
  #phase: Phase<P, E>
  #pulse: Pulse<P, E, R> | undefined
  /** The attempt, what watches over the connection, and what waits for its users to end. */
  readonly #fibers = new Set<Fiber.RuntimeFiber<unknown>>()
  /** What the attempt waits for besides its children. */
  #attended: Set<Fiber.RuntimeFiber<unknown, unknown>> | undefined
  /** What the connection is given up for, of which whoever receives is told first. */
  #givenUp: Cause.Cause<ConnectionError<E>> | undefined
  /** What releases the connection. */
  #closer: Fiber.RuntimeFiber<unknown> | undefined

  /** Begins an attempt. */
  constructor(
    settings: Settings<P, E, R>,
    scope: Scope.CloseableScope,
    span: Tracer.Span | undefined,
    observer: Observer<P, E, R>
  ) {
    this.#settings = settings
    this.#scope = scope
    this.#span = span
    this.#observer = observer
    this.#phase = { _tag: "Attempting", since: this.#now() }
    this.#status = {
      isEstablished: false,
      users: () => this.established?.users.all ?? [],
      changes: settings.changes,
      enter: (stage) => {
        this.#stage = stage
        if (span !== undefined) tellStage(span, stage, settings.clock)
      },
      received: settings.metrics?.received,
      attend: (fiber) => {
        this.#attended ??= new Set()
        const attended = this.#attended
        attended.add(fiber)
        fiber.addObserver(() => attended.delete(fiber))
      },
      receivers: settings.heartbeat && new Receivers()
    }
    this.#status.enter("connect")
    const signal: ConnectionSignal<E> = { lost: (error, detail) => this.#lost(error, detail) }
    const attempt = settings.fork.soonWith<Exit.Exit<P, E>, never, Scope.Scope>(
      // As an Exit, since a fiber that fails with nobody to join it would be logged for that.
      Effect.exit(Effect.suspend(() => settings.connect(signal))),
      this.#services
    )
    attempt.addObserver((exit) => this.#attempted(Exit.flatten(exit)))
    this.#keep(attempt)
  }

  get phase(): Phase<P, E> {
    return this.#phase
  }

  /**
   * Whether a fiber belongs to the connection: to its attempt, its probes or its finalizers, be it one that these have left to
   * itself.
   */
  isWithin(fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean {
    return fiber.getFiberRef(FiberRef.currentContext).unsafeMap.get(AttemptStatus.key) === this.#status
  }

  /**
   * Whether the attempt, or the closing, can't go on without a fiber. The closing interrupts all of them but what closes, which
   * a fiber that is `interruptible` does not hold up.
   */
  isHeldUpBy(fiber: Fiber.RuntimeFiber<unknown, unknown>, isInterruptible = false): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (!this.isWithin(fiber)) return Effect.succeed(false)
      const awaited: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      if (!isInterruptible) awaited.push(...this.#fibers, ...(this.#attended ?? []))
      if (this.#closer !== undefined) awaited.push(this.#closer)
      return Effect.exists(awaited, (each) => isAwaited(each, fiber))
    })
  }

  get established(): Established<P> | undefined {
    return isEstablished(this.#phase) ? this.#phase.established : undefined
  }

  /** Waits until the attempt has an outcome, for so many milliseconds, and for `connectTimeout` at most. */
  settled(millis: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const phase = this.#phase
      if (phase._tag !== "Attempting") return Effect.succeed(true)
      const left = phase.since + Duration.toMillis(this.#settings.connectTimeout) - this.#now()
      const settled = this.#within(Math.min(left, millis), () => this.#phase._tag !== "Attempting")
      // Who comes when it has run out, as the event loop was held up, waits for what has arrived to be heard all the same.
      return left > 0 ? settled : Effect.zipRight(deadline(0), settled)
    })
  }

  /** Takes the connection up, if the attempt has succeeded. One that is still under way has timed out. */
  establish(generation: number): Exit.Exit<Established<P>, AttemptError<E>> {
    if (this.#phase._tag === "Attempting") this.#fail(Cause.fail(this.#timeout()))
    const phase = this.#phase
    if (phase._tag !== "Ready") return Exit.failCause(phase._tag === "Failed" ? phase.cause : Cause.empty)
    const { changes, clock, fork, heartbeat, metrics, name } = this.#settings
    const { protocol } = phase
    const established: Established<P> = {
      protocol,
      generation,
      users: new Users(name, changes, metrics),
      some: Option.some(protocol),
      succeed: Effect.succeed(protocol)
    }
    this.#status.isEstablished = true
    this.#status.tries = undefined
    this.#enter({ _tag: "Up", since: this.#now(), established })
    if (heartbeat !== undefined) {
      const keep = (fiber: Fiber.RuntimeFiber<unknown>) => this.#keep(fiber)
      const services = Context.make(AttemptStatus, this.#status)
      const pulse = new Pulse(heartbeat, protocol, { service: name, clock, fork, services, keep, metrics })
      this.#pulse = pulse
      this.#keep(fork.soon(Effect.map(pulse.untilLost, (cause) => this.#giveUp(originals(cause)))))
    }
    return Exit.succeed(established)
  }

  /** Probes the connection, gives it up if there is no answer in time, and tells whether there is. */
  check(timeout: Duration.Duration): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const pulse = this.#pulse
      if (pulse === undefined) return Effect.succeed(false)
      return Effect.flatMap(pulse.check(timeout), (cause) => {
        if (cause === undefined) return Effect.succeed(this.established !== undefined)
        this.#giveUp(originals(cause))
        return Effect.as(this.over(Number.POSITIVE_INFINITY), false)
      })
    })
  }

  /** Waits until the connection is lost or closed, for so many milliseconds, and tells whether it is. */
  over(millis: number): Effect.Effect<boolean> {
    return this.#within(millis, () => this.established === undefined)
  }

  /** Closes the connection once nobody uses it any more, or so many milliseconds have passed. */
  retire(millis: number, reason: unknown): void {
    const { established } = this
    if (established === undefined || established.users.size === 0 || millis <= 0) {
      this.close(reason)
      return
    }
    if (this.#phase._tag === "Up") this.#enter({ _tag: "Retiring", since: this.#phase.since, established })
    const unused = this.#within(millis, () => established.users.size === 0)
    this.#keep(this.#settings.fork.soon(Effect.map(unused, () => this.close(reason))))
  }

  /**
   * Halts the attempt and closes what it acquired: at once, as far as that takes no waiting. Finalizers may call the
   * service back.
   */
  close(reason?: unknown): void {
    const phase = this.#phase
    if (phase._tag === "Closing" || phase._tag === "Closed") return
    const cause = phase._tag === "Failed" || phase._tag === "Lost" ? phase.cause : undefined
    this.#enter({ _tag: "Closing", since: this.#now(), cause, reason })
    for (const fiber of this.#fibers) fiber.unsafeInterruptAsFork(FiberId.none)
    this.#settings.fork.nowWith(this.#release(cause, reason), this.#services)
  }

  /** Waits until the connection is closed, or `closeTimeout` has passed since it began to close, and tells whether it is. */
  get closed(): Effect.Effect<boolean> {
    return Effect.flatMap(
      this.#within(Number.POSITIVE_INFINITY, () => this.#phase._tag === "Closing" || this.#phase._tag === "Closed"),
      () => this.#within(this.closeTimeLeft, () => this.#phase._tag === "Closed")
    )
  }

  /** How much of `closeTimeout` is left to a connection that is closing, in milliseconds. */
  get closeTimeLeft(): number {
    if (this.#phase._tag !== "Closing") return 0
    return Math.max(0, this.#phase.since + this.#settings.closeTimeout - this.#now())
  }

  // The same for what releases the connection as for what made it: a finalizer that finds others is slow to be given its own.
  get #services(): Context.Context<Scope.Scope> {
    const services = Context.make(Scope.Scope, this.#scope).pipe(Context.add(AttemptStatus, this.#status))
    return this.#span === undefined ? services : Context.add(services, Tracer.ParentSpan, this.#span)
  }

  // An attempt that ignores its interruption must not keep what it acquired so far open. What it acquires later is
  // released at once, since the Scope is closed by then.
  #release(cause: Cause.Cause<ConnectionError<E>> | undefined, reason: unknown): Effect.Effect<void> {
    const close = Effect.withFiberRuntime((fiber: Fiber.RuntimeFiber<void>) => {
      this.#closer = fiber
      return Scope.close(this.#scope, cause === undefined ? Exit.succeed(reason ?? replaced) : Exit.failCause(cause))
    })
    return this.#within(this.#settings.closeTimeout, () => this.#fibers.size === 0).pipe(
      Effect.zipRight(close),
      Effect.onExit(() => Effect.sync(() => this.#enter({ _tag: "Closed" })))
    )
  }

  #attempted(exit: Exit.Exit<P, E>): void {
    if (Exit.isFailure(exit)) {
      if (this.#phase._tag === "Attempting") this.#fail(originals(exit.cause))
    } else if (this.#phase._tag === "Attempting") {
      this.#enter({ _tag: "Ready", since: this.#phase.since, protocol: exit.value })
    }
  }

  #lost(error: E | undefined, detail: string | undefined): void {
    const { name: service } = this.#settings
    const without = () => new ConnectionLost(detail === undefined ? { service } : { service, detail })
    const cause = () => Cause.fail(error ?? withoutStack(without))
    if (isPending(this.#phase)) this.#fail(cause())
    else if (isEstablished(this.#phase)) this.#lose(this.#givenUp ?? cause())
  }

  #fail(cause: Cause.Cause<AttemptError<E>>): void {
    this.#enter({ _tag: "Failed", cause })
  }

  /** Nothing more is waited for. It is lost once what has come before is read. */
  #giveUp(cause: Cause.Cause<ConnectionError<E>>): void {
    if (this.#givenUp !== undefined) return
    this.#givenUp = cause
    const lose = () => this.#lose(cause)
    const { receivers } = this.#status
    if (receivers === undefined) lose()
    else receivers.giveUp(Cause.squash(cause), lose)
  }

  #lose(cause: Cause.Cause<ConnectionError<E>>): void {
    if (isEstablished(this.#phase)) this.#enter({ _tag: "Lost", cause })
  }

  #enter(phase: Phase<P, E>): void {
    const before = this.#phase
    this.#phase = phase
    this.#observer(this, before, phase)
    this.#settings.changes.notify()
  }

  #timeout(): ConnectTimeout {
    const { connectTimeout: duration, name: service } = this.#settings
    const { tries } = this.#status
    return new ConnectTimeout({ service, duration, stage: this.#stage, ...(tries && outcome(tries)) })
  }

  #now(): number {
    return monotonic(this.#settings.clock)
  }

  #within(millis: number, holds: () => boolean): Effect.Effect<boolean> {
    const { changes, fork } = this.#settings
    return within(fork, millis, holds, changes)
  }

  #keep(fiber: Fiber.RuntimeFiber<unknown>): void {
    this.#fibers.add(fiber)
    fiber.addObserver(() => {
      this.#fibers.delete(fiber)
      this.#settings.changes.notify()
    })
  }
}
