import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import { type ConnectionError, RetriesExhausted, ServiceStopped } from "../../ConnectionError.js"
import type { ConnectionFailure } from "../../RetryPolicy.js"
import { Connection, type Settings as ConnectionSettings, type Observer } from "../connection/connection.js"
import { isEstablished, isPending, type Phase } from "../connection/phase.js"
import type { Journal } from "../telemetry/journal.js"
import type { Spans } from "../telemetry/spans.js"
import { monotonic } from "../time/monotonic.js"
import { sleep } from "../time/sleep.js"
import { within } from "../time/within.js"
import type { Current } from "./current.js"
import { Publisher } from "./publisher.js"
import type { Retries } from "./retries.js"
import { SelfWaits } from "./selfWaits.js"
import {
  type EventName,
  type Events,
  failuresSoFar,
  initial,
  type Model,
  type Output,
  transition,
  youth
} from "./table.js"

export interface Settings<P, E, R> extends ConnectionSettings<P, E, R> {
  /** Milliseconds. */
  readonly resetAfter: number
  /** Milliseconds. */
  readonly drainTimeout: number
  readonly retries: Retries<E, R>
  readonly replacement: Replacement<E, R> | undefined
  readonly spans: Spans
  /** Is told of what the model becomes, and of nothing when the service is gone. */
  readonly entered: (model: Model<P, E> | undefined) => void
  readonly journal: Journal
}

/** How connections are replaced while they are up. */
interface Replacement<E, R> {
  /** How many milliseconds a connection lives before, drawn for each. */
  readonly maxAge: Effect.Effect<number>
  readonly retries: Retries<E, R>
}

/** How long a loop that has died waits before it goes on, in milliseconds. */
const recovery = 1000

/** What takes its time, and ends with a report of what came of it. */
type Activity<R> = Effect.Effect<unknown, never, R>

/**
 * Obeys the table.
 *
 * The model changes in `dispatch` and nowhere else, before the call that causes it returns. There is one activity at a
 * time, and one fiber for it, the loop, which goes on with the activity that follows from the report of the last. It ends
 * where there is nothing to do, as while a connection is up. What comes from outside takes over: it interrupts the activity
 * and begins another.
 */
export class Loop<P, E, R> implements Record<Output, () => void> {
  readonly #settings: Settings<P, E, R>
  readonly #current: Current<P, E>
  readonly publisher: Publisher<P, E>
  #fiber: Fiber.RuntimeFiber<void> | undefined
  #model: Model<P, E> = initial
  /** The attempt, or the connection that is up. */
  #connection: Connection<P, E, R> | undefined
  /** What is to replace the connection. */
  #successor: Connection<P, E, R> | undefined
  /** That of the attempt or the connection, which the table is told of once the policy has been asked. */
  #failure: ConnectionFailure<ConnectionError<E>> | undefined
  /** All that is neither closed nor given up. */
  readonly #open = new Set<Connection<P, E, R>>()
  readonly #selfWaits: SelfWaits<P, E, R>
  #activity: Activity<R> | undefined
  #isReporting = false
  /** When the connection came up. */
  #upSince = 0
  /** When the first of the failures in a row began. */
  #downSince = 0
  /** When the delay is over. */
  #retryDue = 0
  /** When the attempt is begun anew. */
  #reopenAt = Number.POSITIVE_INFINITY
  /** Completed when the stop under way is. */
  #stopping: Deferred.Deferred<void> | undefined
  #isShutDown = false

  constructor(settings: Settings<P, E, R>, current: Current<P, E>) {
    this.#settings = settings
    this.#current = current
    this.publisher = new Publisher(() => this.#model.state, current, settings.journal)
    const { name, retries } = settings
    this.#selfWaits = new SelfWaits({
      name,
      retries,
      open: this.#open,
      isDraining: settings.drainTimeout > 0,
      warnOnce: (message) => this.#warnOnce(message) ?? Effect.void
    })
  }

  get model(): Model<P, E> {
    return this.#model
  }

  // Uninterruptible, or a transition could remain unpublished.
  get start(): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.suspend(() => {
        if (this.#isShutDown) return Effect.void
        this.#dispatch("start", {})
        return this.publisher.publish
      })
    )
  }

  // What is part of what stop waits for, and is not interrupted by it, such as a finalizer, would wait for itself.
  get stop(): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      // At once, so that nobody comes in between.
      if (!this.#selfWaits.mayBe(fiber)) return this.#waited(this.#stop)
      return Effect.checkInterruptible((isInterruptible) =>
        Effect.flatMap(this.#selfWaits.isHeldUp(isInterruptible), (isHeldUp) => {
          if (!isHeldUp) return this.#waited(this.#stop)
          this.#settings.fork.now(this.#stop)
          return this.#warnOfSelfWait
        })
      )
    })
  }

  /** Begins a stop, and waits for it, unless that waits for the `use` that the caller is part of. */
  #waited(stop: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.#selfWaits.areUsesAwaited) return stop
      const stopping = this.#settings.fork.now(stop)
      return Effect.flatMap(this.#selfWaits.isWithinUse, (isWithinUse) =>
        // Not by a join, which would have the caller inherit what the service was made with.
        isWithinUse ? this.#warnOfSelfWait : Effect.flatten(Fiber.await(stopping))
      )
    })
  }

  get #warnOfSelfWait(): Effect.Effect<void> {
    return this.#warnOnce("what stop waits for calls stop, which does not wait for it") ?? Effect.void
  }

  get #stop(): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => {
      const before = this.#fiber
      this.#dispatch("stop", { isOpen: this.#isOpen, uses: this.#settings.drainTimeout > 0 ? this.#uses : 0 })
      const { _tag } = this.#model.state
      // The fiber that this has interrupted, be it that another has taken its place or that there is nothing more to do.
      const isInterrupted = before !== undefined && (_tag === "Stopped" || before !== this.#fiber)
      const halted = isInterrupted ? Fiber.await(before) : Effect.void
      // Of one that was restarting, which `awaitClosed` has not begun.
      if (_tag === "Disconnecting") this.#stopping ??= Deferred.unsafeMake(FiberId.none)
      const stopped = this.#stopping === undefined ? Effect.void : Deferred.await(this.#stopping)
      const publish = this.publisher.publish
      // Once more, since with the end of the owner Scope the loop is interrupted, maybe before it has published the last.
      return Effect.zipRight(publish, Effect.zipLeft(restore(Effect.zipRight(halted, stopped)), publish))
    })
  }

  get reconnect(): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.suspend(() => {
        this.#dispatch("reconnect", this.#beforeReconnect)
        return this.publisher.publish
      })
    )
  }

  /** Replaces what has not answered within the timeout, be it the connection or the attempt, and tells whether it has. */
  check(timeout: Duration.Duration): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const connection = this.#connection
      const { _tag } = this.#model.state
      const isOurs = () => connection === this.#connection && this.#model.state._tag !== "Exhausted"
      if (_tag === "Connecting" && connection !== undefined) {
        return this.#selfWaits.beforeOutcome.pipe(
          Effect.zipRight(connection.settled(Duration.toMillis(timeout))),
          Effect.flatMap((isSettled) => {
            if (!isSettled && isOurs()) return Effect.as(this.reconnect, false)
            return Effect.succeed(connection.phase._tag === "Ready" || connection.established !== undefined)
          })
        )
      }
      if (_tag === "Connected" && connection?.established !== undefined) {
        // One that has been up for no time at all has the policy say when the next is due.
        const isOld = () => this.#now() - this.#upSince >= youth
        return Effect.flatMap(connection.check(timeout), (isAlive) =>
          !isAlive && isOurs() && isOld() ? Effect.as(this.reconnect, false) : Effect.succeed(isAlive)
        )
      }
      return _tag === "Connected" || _tag === "Waiting" ? Effect.as(this.reconnect, false) : Effect.succeed(false)
    })
  }

  /** Stops, ignores every later start, and ends the fiber of the loop. */
  get shutDown(): Effect.Effect<void> {
    const { fork, retries } = this.#settings
    return Effect.withFiberRuntime((fiber) => {
      if (!this.#selfWaits.mayBe(fiber)) return this.#waited(this.#shutDown)
      return Effect.flatMap(
        Effect.zipWith(this.#selfWaits.isHeldUp(false), retries.isHeldUpBy(fiber), (within, asked) => within || asked),
        (isHeldUp) => (isHeldUp ? Effect.sync(() => void fork.now(this.#shutDown)) : this.#waited(this.#shutDown))
      )
    })
  }

  get #shutDown(): Effect.Effect<void> {
    const { closeTimeout, replacement, retries } = this.#settings
    return Effect.suspend(() => {
      this.#isShutDown = true
      return Effect.zipRight(
        this.#stop,
        Effect.suspend(() => (this.#fiber === undefined ? Effect.void : Fiber.interrupt(this.#fiber)))
      ).pipe(
        // Before what may take its time.
        Effect.zipRight(this.publisher.publish),
        Effect.zipRight(Effect.suspend(() => retries.ended(closeTimeout))),
        Effect.zipRight(Effect.suspend(() => replacement?.retries.ended(closeTimeout) ?? Effect.void)),
        Effect.zipRight(this.publisher.end),
        Effect.zipRight(Effect.sync(() => this.#settings.entered(undefined)))
      )
    })
  }

  /** What is to be said to a fiber that is about to wait for a connection. */
  beforeWait(): Effect.Effect<unknown> | undefined {
    if (this.#model.state._tag !== "Init") return this.#selfWaits.beforeWait
    return this.#warnOnce("waited for, and not started yet")
  }

  #warnOnce(message: string): Effect.Effect<void> | undefined {
    const { journal } = this.#settings
    const entry = journal.onceOnly(this.#model, message)
    return entry === undefined ? undefined : journal.write(entry)
  }

  /** The policy grants more attempts than anybody can have meant. */
  hasty(): void {
    const { journal } = this.#settings
    const entry = journal.onceOnly(this.#model, "the retry policy grants more than 100 attempts in a second")
    if (entry !== undefined) this.publisher.add(undefined, entry)
  }

  #dispatch<Name extends EventName>(name: Name, event: Events<P, E>[Name]): void {
    const before = this.#model
    const { model, outputs } = transition(before, name, event)
    this.#model = model
    if (model !== before) {
      const { entered, journal } = this.#settings
      entered(model)
      this.publisher.add(model.state, journal.transition(before, model))
    }
    for (const output of outputs) this[output]()
  }

  /** Dispatches what came of an activity, which the loop follows with the next. */
  #report<Name extends EventName>(name: Name, event: Events<P, E>[Name]): void {
    this.#isReporting = true
    try {
      this.#dispatch(name, event)
    } finally {
      this.#isReporting = false
    }
  }

  #begin(activity: Activity<R>): void {
    this.#activity = activity
    if (this.#isReporting) return
    const before = this.#fiber
    const fiber = this.#settings.fork.soon(this.#run)
    this.#fiber = fiber
    fiber.addObserver(() => {
      if (this.#fiber === fiber) this.#fiber = undefined
    })
    before?.unsafeInterruptAsFork(FiberId.none)
  }

  // Publishes first: whoever has brought the loop here may have been held up before doing so.
  get #run(): Effect.Effect<void, never, R> {
    return Effect.flatMap(this.publisher.publish, () => {
      const activity = this.#activity
      this.#activity = undefined
      if (activity === undefined) return Effect.void
      return Effect.flatMap(
        Effect.catchAllCause(activity, (cause) => this.#recover(cause, activity)),
        () => this.#run
      )
    })
  }

  // Nothing that a caller has given ends the loop. Should it die all the same, the service must not stand still.
  #recover(cause: Cause.Cause<never>, activity: Activity<R>): Effect.Effect<void> {
    if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
    return Effect.zipRight(this.#settings.journal.died(this.#model, cause), sleep(recovery)).pipe(
      Effect.zipRight(
        Effect.sync(() => {
          this.#activity ??= activity
        })
      )
    )
  }

  // What the table has it do. Public for `dispatch` alone.

  warn(): void {
    this.publisher.add(undefined, this.#settings.journal.always(this.#model, "already running"))
  }

  admit(): void {
    this.#current.admit()
  }

  turnAway(): void {
    const { state } = this.#model
    const service = this.#settings.name
    this.#current.turnAway(
      state._tag === "Exhausted"
        ? new RetriesExhausted({ service, failures: state.failures, cause: state.cause })
        : new ServiceStopped({ service })
    )
  }

  handOut(): void {
    this.#upSince = this.#now()
    const established = this.#connection?.established
    if (established !== undefined) this.#current.set(established)
  }

  completeStops(): void {
    if (this.#stopping !== undefined) Deferred.unsafeDone(this.#stopping, Effect.void)
    this.#stopping = undefined
  }

  open(): void {
    this.#takeUp(undefined)
    this.#begin(this.#connect)
  }

  reopenLater(): void {
    const connection = this.#connection
    if (connection?.phase._tag !== "Attempting") return
    this.#reopenAt = connection.phase.since + youth
    this.#begin(this.#attempt(connection))
  }

  adopt(): void {
    const lost = this.#connection
    const successor = this.#successor
    if (successor === undefined) return
    this.#takeUp(successor)
    this.#begin(
      Effect.suspend(() => {
        lost?.close()
        return this.#attempt(successor)
      })
    )
  }

  sleep(): void {
    // The delay counts from the failure, and the policy may have taken its time.
    const left = Effect.suspend(() => sleep(this.#retryDue - this.#now()))
    this.#begin(Effect.map(left, () => this.#report("delayOver", {})))
  }

  renew(): void {
    const { replacement } = this.#settings
    if (replacement !== undefined && this.#connection !== undefined) {
      this.#begin(this.#replace(this.#connection, replacement))
    }
  }

  awaitClosed(): void {
    // Before anything is closed: a finalizer may start the service again.
    this.#stopping ??= Deferred.unsafeMake(FiberId.none)
    this.#begin(
      Effect.zipRight(
        this.#drained,
        Effect.map(this.#closed(), () => this.#report("closed", {}))
      )
    )
  }

  halt(): void {
    this.#activity = undefined
    if (!this.#isReporting) this.#fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  close(): void {
    for (const connection of this.#open) if (connection.phase._tag !== "Retiring") connection.close()
  }

  drain(): void {
    const reason = new ServiceStopped({ service: this.#settings.name })
    for (const connection of this.#open) connection.retire(this.#settings.drainTimeout, reason)
  }

  // What takes its time.

  get #connect(): Activity<R> {
    return Effect.gen(this, function* () {
      // What a loop that died has left.
      this.close()
      yield* this.#closed()
      this.#reopenAt = Number.POSITIVE_INFINITY
      const connection = yield* this.#makeConnection(this.#model.attempt, (connection) => this.#takeUp(connection))
      yield* this.#attempt(connection)
    })
  }

  #attempt(connection: Connection<P, E, R>): Activity<R> {
    return Effect.gen(this, function* () {
      const timeout = Duration.toMillis(this.#settings.connectTimeout)
      yield* connection.settled(this.#reopenAt - this.#now())
      if (connection.phase._tag === "Attempting" && this.#reopenAt <= connection.phase.since + timeout) {
        return this.#report("reconnect", this.#beforeReconnect)
      }
      const exit = connection.establish(this.#model.generation + 1)
      if (Exit.isSuccess(exit)) {
        return this.#report("succeeded", { protocol: exit.value.protocol, now: this.#wallClock })
      }
      connection.close()
      yield* this.#closed()
      yield* this.#judge("failed")
    })
  }

  get #lost(): Activity<R> {
    return Effect.suspend(() => {
      // The one that was to replace it as well. The policy may take its time.
      this.close()
      return this.#judge("lost")
    })
  }

  #judge(name: "failed" | "lost"): Activity<R> {
    const failure = this.#failure
    if (failure === undefined) return Effect.void
    return Effect.map(this.#settings.retries.next(failure), (retry) => {
      if (Option.isSome(retry)) this.#retryDue = retry.value.due
      this.#report(name, { ...failure, retry })
    })
  }

  // Until the next connection is prepared, the present one serves as ever. Its loss takes over.
  #replace(connection: Connection<P, E, R>, { maxAge, retries }: Replacement<E, R>): Activity<R> {
    return Effect.gen(this, function* () {
      const { closeTimeout, journal } = this.#settings
      if (yield* connection.over(yield* maxAge)) return
      retries.reset()
      const since = this.#now()
      for (let failures = 1; ; failures++) {
        yield* this.#closed(connection)
        const successor = yield* this.#makeConnection(this.#model.attempt + 1, (made) => {
          this.#successor = made
        })
        yield* successor.settled(Number.POSITIVE_INFINITY)
        const exit = successor.establish(this.#model.generation + 1)
        if (Exit.isSuccess(exit)) {
          this.#takeUp(successor)
          const { protocol } = exit.value
          this.#report("replaced", { protocol, failures: this.#failuresSoFar, now: this.#wallClock })
          return connection.retire(closeTimeout, undefined)
        }
        successor.close()
        yield* journal.warn(this.#model, "not replaced yet", exit.cause)
        const retry = yield* retries.next({
          failures,
          cause: exit.cause,
          elapsed: Duration.millis(this.#now() - since)
        })
        if (Option.isNone(retry)) return
        yield* sleep(Duration.toMillis(retry.value.delay))
      }
    })
  }

  /** Counts down the uses that are let finish, until there are none. */
  get #drained(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { changes, fork } = this.#settings
      const { state } = this.#model
      const uses = this.#uses
      if (state._tag === "Disconnecting" && state.uses !== uses) this.#report("usesEnded", { uses })
      if (!this.#isDraining) return this.publisher.publish
      const changed = () => this.#uses !== uses || !this.#isDraining
      return this.publisher.publish.pipe(
        Effect.zipRight(within(fork, Number.POSITIVE_INFINITY, changed, changes)),
        Effect.zipRight(this.#drained)
      )
    })
  }

  /** Waits until all connections but one are closed, for the rest of their `closeTimeout` at most. */
  #closed(but?: Connection<P, E, R>): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (const connection of this.#open) {
        if (connection === but) continue
        return Effect.flatMap(connection.closed, (isClosed) => {
          this.#open.delete(connection)
          const { journal } = this.#settings
          const warned = isClosed ? Effect.void : journal.warn(this.#model, "not closed within closeTimeout")
          return Effect.zipRight(warned, this.#closed(but))
        })
      }
      return Effect.void
    })
  }

  /** Begins an attempt, and hands it over before anything else can happen. */
  #makeConnection(
    attempt: number,
    handOver?: (connection: Connection<P, E, R>) => void
  ): Effect.Effect<Connection<P, E, R>> {
    const { spans } = this.#settings
    return Effect.zipWith(spans.begin(attempt), Scope.make(), (span, scope) => {
      const connection = new Connection(this.#settings, scope, span, this.#observer(span))
      this.#open.add(connection)
      handOver?.(connection)
      return connection
    })
  }

  #takeUp(connection: Connection<P, E, R> | undefined): void {
    this.#connection = connection
    this.#successor = undefined
    this.#failure = undefined
  }

  /** Whether an attempt to replace the connection is under way, or has succeeded just now. */
  get #isOvertaken(): boolean {
    return this.#successor !== undefined && isPending(this.#successor.phase)
  }

  #observer(span: Tracer.Span | undefined): Observer<P, E, R> {
    let attempt = span
    let life: Tracer.Span | undefined
    return (connection, before, phase) => {
      const { fork, metrics, spans } = this.#settings
      if (attempt !== undefined) spans.ended(attempt, phase, phase._tag === "Ready" ? Exit.void : interrupted)
      attempt = undefined
      if (life !== undefined && !isEstablished(phase)) {
        spans.ended(life, phase, Exit.void)
        life = undefined
      }
      if (spans.ofConnections && span !== undefined && phase._tag === "Up") {
        const begun = fork.now(spans.connected(span, phase.established.generation)).unsafePoll()
        if (begun !== null && Exit.isSuccess(begun)) life = begun.value
      }
      metrics?.changed(before, phase)
      // Of one that has retired, only those who use it still have anything to lose.
      const isOurs = connection === this.#connection && before._tag !== "Retiring"
      const isFailure = phase._tag === "Failed" || (phase._tag === "Lost" && !this.#isOvertaken)
      if (isOurs && isFailure) this.#failed(before, phase.cause)
      if (isEstablished(before)) {
        this.#current.leave(before.established)
        if (!isEstablished(phase)) before.established.users.end(reasonOf(phase))
      }
      if (phase._tag === "Closed") this.#open.delete(connection)
      if (phase._tag === "Failed" && isOurs) this.#current.attemptFailed(Exit.failCause(phase.cause))
      if (phase._tag === "Lost") {
        if (before._tag === "Retiring") this.#settings.fork.soon(Effect.sync(() => connection.close()))
        // Those who used it may have called the service, which goes its own way then.
        else if (isOurs && this.#model.state._tag === "Connected") this.#ourLoss(before, phase.cause)
      }
    }
  }

  #ourLoss(before: Phase<P, E>, cause: Cause.Cause<ConnectionError<E>>): void {
    if (this.#failure === undefined && this.#isOvertaken) {
      this.#dispatch("overtaken", { failures: this.#failuresSoFar })
    } else {
      // Those who used it may have ended what was to replace it.
      if (this.#failure === undefined) this.#failed(before, cause)
      this.#begin(this.#lost)
    }
  }

  get #isOpen(): boolean {
    return [...this.#open].some((connection) => connection.phase._tag !== "Closing" || connection.closeTimeLeft > 0)
  }

  get #isDraining(): boolean {
    return [...this.#open].some(({ phase }) => phase._tag === "Retiring")
  }

  get #uses(): number {
    let uses = 0
    for (const { established } of this.#open) uses += established?.users.size ?? 0
    return uses
  }

  // When it fails: whether the connection was stable is not to depend on how long the policy takes. The policy begins afresh
  // with the first failure, even if a reconnect comes before it is asked about that.
  #failed(before: Phase<P, E>, cause: Cause.Cause<ConnectionError<E>>): void {
    const now = this.#now()
    const failures = this.#failuresSoFar + 1
    if (failures === 1) {
      this.#settings.retries.reset()
      this.#downSince = isPending(before) ? before.since : now
    }
    this.#failure = { failures, cause, elapsed: Duration.millis(now - this.#downSince) }
  }

  get #beforeReconnect(): Events<P, E>["reconnect"] {
    const phase = this.#connection?.phase
    const age = phase?._tag === "Attempting" ? this.#now() - phase.since : undefined
    return { failures: this.#failuresSoFar, ...this.#failure, age }
  }

  get #failuresSoFar(): number {
    return failuresSoFar(this.#model, this.#now() - this.#upSince, this.#settings.resetAfter)
  }

  /** To measure by. */
  #now(): number {
    return monotonic(this.#settings.clock)
  }

  /** To show. */
  get #wallClock(): number {
    return this.#settings.clock.unsafeCurrentTimeMillis()
  }
}

const interrupted = /* @__PURE__ */ Exit.interrupt(FiberId.none)

const reasonOf = (phase: Phase<unknown, unknown>): unknown => {
  if (phase._tag === "Lost") return Cause.squash(phase.cause)
  return phase._tag === "Closing" ? phase.reason : undefined
}
