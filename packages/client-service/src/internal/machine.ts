import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type ConnectionError, RetriesExhausted, ServiceStopped } from "../ConnectionError.js"
import type { ConnectionState } from "../ConnectionState.js"
import type { ConnectionSignal } from "../Endpoint.js"
import type { AttemptSpans } from "./attemptSpans.js"
import { Connection, type Established } from "./connection.js"
import { ConnectionWaiters } from "./connectionWaiters.js"
import type { Fork } from "./fork.js"
import type { Journal } from "./journal.js"
import type { RetryDriver } from "./retryDriver.js"
import { sleep } from "./sleep.js"
import {
  type EventName,
  type Events,
  type Failed,
  failuresSoFar,
  initial,
  type Model,
  transition
} from "./transitions.js"

export interface Settings<P, E, R> {
  readonly name: string
  /** A whole attempt: connect, `protocol` and `prepare`. */
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
  /** Watches over a connection that is up, and gives the cause when it has to be given up. */
  readonly watch: ((protocol: P) => Effect.Effect<Cause.Cause<ConnectionError<E>>, never, R>) | undefined
  readonly connectTimeout: Duration.Duration
  /** Milliseconds, as is `resetAfter`. */
  readonly closeTimeout: number
  readonly resetAfter: number
  readonly retries: RetryDriver<E, R>
  /** How many milliseconds a connection lives before it is replaced, drawn for each. */
  readonly maxAge: Effect.Effect<number>
  readonly replacementRetries: RetryDriver<E, R>
  readonly journal: Journal
  readonly spans: AttemptSpans
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  readonly published: SubscriptionRef.SubscriptionRef<ConnectionState<P, E>>
}

/**
 * Carries out the transitions.
 *
 * The model changes in `dispatch` and nowhere else, and before the call that causes it returns. What a state has to do
 * (connect, watch, wait, close) is done in one fiber, the loop, which dispatches the event that it leads to and goes on
 * with the next state. A command from outside takes over: it interrupts the loop, wherever that is, and begins another.
 */
export class Machine<P, E, R> {
  private current: Model<P, E> = initial
  private connection: Connection<P, E, R> | undefined
  /** The connection that is to replace the present one, or that it has replaced. */
  private other: Connection<P, E, R> | undefined
  private loop: Fiber.RuntimeFiber<void> | undefined
  private isShutDown = false
  private isPublishing = false
  private readonly unpublished: Array<readonly [before: Model<P, E>, after: Model<P, E>]> = []
  private readonly waiters = new ConnectionWaiters<ServiceStopped | RetriesExhausted<E>, ConnectionError<E>>()
  /** Completed when the stop under way is. */
  private stopping: Deferred.Deferred<void> | undefined

  constructor(private readonly settings: Settings<P, E, R>) {}

  get model(): Model<P, E> {
    return this.current
  }

  /** The connection that is up, unless its loss was signalled already. */
  get usable(): Established<P> | undefined {
    return this.connection?.established
  }

  readonly start: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isShutDown) return Effect.void
    return this.command("start", {}) ? this.publish : this.settings.journal.startedTwice(this.current)
  })

  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const { loop } = this
    const closing = this.connections.some((connection) => connection.closeTimeLeft > 0)
    const halted = this.command("stop", { closing }) && loop !== undefined ? Fiber.await(loop) : Effect.void
    const stopped = this.stopping === undefined ? Effect.void : Deferred.await(this.stopping)
    return this.publish.pipe(Effect.zipRight(stopped), Effect.zipRight(halted))
  })

  readonly reconnect: Effect.Effect<void> = Effect.suspend(() => {
    this.command("reconnect", { failures: this.failuresSoFar() })
    return this.publish
  })

  /** Stops, and ignores every later start. */
  readonly shutdown: Effect.Effect<void> = Effect.suspend(() => {
    this.isShutDown = true
    return this.stop
  })

  /** Waits for a connection later than a generation. */
  awaitConnection(after: number): Effect.Effect<Established<P>, ServiceStopped | RetriesExhausted<E>> {
    return this.look(after, (holds) => this.waiters.wait(holds))
  }

  /** Waits for a connection, until so many attempts have failed. */
  awaitConnectionOrFailure(
    failures: number
  ): Effect.Effect<Established<P>, ServiceStopped | RetriesExhausted<E> | ConnectionError<E>> {
    return Effect.suspend(() => {
      const last = this.waiters.failureFromNow(failures)
      return this.look(0, (holds) => this.waiters.waitUntilFailure(last, holds))
    })
  }

  // Whoever is woken looks again, since by then the connection may be lost.
  private look<E2>(
    after: number,
    wait: (holds: () => boolean) => Effect.Effect<void, E2>
  ): Effect.Effect<Established<P>, E2 | ServiceStopped | RetriesExhausted<E>> {
    const answer = (): Effect.Effect<Established<P>, ServiceStopped | RetriesExhausted<E>> | undefined => {
      const established = this.usable
      return established !== undefined && established.generation > after ? Effect.succeed(established) : this.terminal()
    }
    const waiting = wait(() => answer() !== undefined)
    const looking: Effect.Effect<Established<P>, E2 | ServiceStopped | RetriesExhausted<E>> = Effect.suspend(
      () => answer() ?? Effect.zipRight(waiting, looking)
    )
    return looking
  }

  private terminal(): Effect.Effect<never, ServiceStopped | RetriesExhausted<E>> | undefined {
    const { state } = this.current
    const service = this.settings.name
    if (state._tag === "Stopped") return Effect.fail(new ServiceStopped({ service }))
    if (state._tag === "Exhausted") {
      return Effect.fail(new RetriesExhausted({ service, failures: state.failures, cause: state.cause }))
    }
    return undefined
  }

  private command<Name extends EventName>(name: Name, event: Events<P, E>[Name]): boolean {
    const changed = this.dispatch(name, event)
    if (changed) {
      this.loop?.unsafeInterruptAsFork(FiberId.none)
      this.loop = this.settings.fork(this.run)
    }
    return changed
  }

  private dispatch<Name extends EventName>(name: Name, event: Events<P, E>[Name]): boolean {
    const before = this.current
    const after = transition(before, name, event)
    if (after === before) return false
    this.current = after
    this.unpublished.push([before, after])

    if (after.state._tag === "Disconnecting") this.stopping ??= Deferred.unsafeMake(FiberId.none)
    if (name === "closed" && this.stopping !== undefined) {
      Deferred.unsafeDone(this.stopping, Effect.void)
      this.stopping = undefined
    }
    if (after.state._tag === "Connected") {
      this.waiters.resumeAll(Effect.void)
      return true
    }
    const terminal = this.terminal()
    if (terminal !== undefined) this.waiters.resumeAll(terminal)
    // Last, since what it runs may change the state again.
    const reason = name === "stop" ? new ServiceStopped({ service: this.settings.name }) : undefined
    for (const connection of this.connections) connection.close(reason)
    return true
  }

  /** Lets the world know of the transitions, in order. */
  private readonly publish: Effect.Effect<void> = Effect.uninterruptible(
    Effect.suspend(() => {
      if (this.isPublishing) return Effect.void
      this.isPublishing = true
      return this.publishNext
    })
  )

  private readonly publishNext: Effect.Effect<void> = Effect.suspend(() => {
    const transition = this.unpublished.shift()
    if (transition === undefined) {
      this.isPublishing = false
      return Effect.void
    }
    const [before, after] = transition
    return SubscriptionRef.set(this.settings.published, after.state).pipe(
      Effect.zipRight(this.settings.journal.transition(before, after)),
      Effect.zipRight(this.publishNext)
    )
  })

  // Publishes first: whoever gave the command that began this loop may have been interrupted before doing so.
  private readonly run: Effect.Effect<void, never, R> = Effect.flatMap(this.publish, () => {
    const activity = this.activity()
    return activity === undefined ? Effect.void : Effect.zipRight(activity, this.run)
  })

  private activity(): Effect.Effect<unknown, never, R> | undefined {
    const { state } = this.current
    switch (state._tag) {
      case "Connecting":
        return this.connect
      case "Connected":
        return this.watch
      case "Waiting":
        return Effect.map(sleep(this.timeToRetry(state)), () => this.dispatch("delayOver", {}))
      case "Disconnecting":
      case "Restarting":
        return Effect.map(this.closed, () => this.dispatch("closed", {}))
      default:
        return undefined
    }
  }

  private readonly connect: Effect.Effect<unknown, never, R> = Effect.gen(this, function* () {
    yield* this.closed
    const connection = yield* this.open((connection) => {
      this.connection = connection
    })
    yield* connection.settled
    const exit = connection.establish(this.current.generation + 1)
    if (Exit.isSuccess(exit)) {
      return this.dispatch("succeeded", { protocol: exit.value, now: this.now() })
    }
    connection.close()
    yield* this.closed
    const failed = yield* this.judge(exit.cause)
    this.waiters.attemptFailed(Effect.failCause(exit.cause))
    return this.dispatch("failed", failed)
  })

  private readonly watch: Effect.Effect<unknown, never, R> = Effect.gen(this, function* () {
    const { connection } = this
    if (connection === undefined) return
    const age = yield* this.settings.maxAge
    yield* connection.failed(age)
    if (connection.failure === undefined) yield* this.replace(connection)
    if (connection.failure === undefined) return
    connection.close()
    const lost = yield* this.judge(connection.failure)
    this.dispatch("lost", lost)
  })

  // Ends when the connection is replaced or lost. Until then, it serves as ever.
  private replace(connection: Connection<P, E, R>): Effect.Effect<void, never, R> {
    return Effect.gen(this, function* () {
      const { journal, replacementRetries } = this.settings
      for (let failures = 1; connection.failure === undefined; failures++) {
        const lost = connection.failed(Number.POSITIVE_INFINITY)
        if (this.other !== undefined) yield* Effect.raceFirst(this.other.retired, lost)
        if (connection.failure !== undefined) return
        const successor = yield* this.open((successor) => {
          this.other = successor
        })
        yield* Effect.raceFirst(successor.settled, lost)
        if (connection.failure !== undefined) return
        const exit = successor.establish(this.current.generation + 1)
        if (Exit.isSuccess(exit)) {
          this.connection = successor
          this.other = connection
          connection.retire()
          const event = { protocol: exit.value, failures: this.failuresSoFar(), now: this.now() }
          return void this.dispatch("replaced", event)
        }
        successor.close()
        yield* journal.warn(this.current, "the connection could not be replaced, and goes on", exit.cause)
        const retry = yield* replacementRetries.next({ failures, cause: exit.cause })
        yield* connection.failed(
          Option.match(retry, {
            onNone: () => Number.POSITIVE_INFINITY,
            onSome: ({ delay }) => Duration.toMillis(delay)
          })
        )
      }
    })
  }

  /** Opens a connection and hands it over before anything else can happen. */
  private open(handOver: (connection: Connection<P, E, R>) => void): Effect.Effect<Connection<P, E, R>> {
    return Effect.gen(this, function* () {
      const span = yield* this.settings.spans.begin(this.current.attempt)
      const scope = yield* Scope.make()
      const connection = new Connection(this.settings, scope, span)
      handOver(connection)
      return connection
    })
  }

  // The delay counts from the failure, and the policy may have taken its time. The clock may have been set back.
  private timeToRetry({ delay, retryAt }: { readonly delay: Duration.Duration; readonly retryAt: number }): number {
    return Math.min(Duration.toMillis(delay), retryAt - this.now())
  }

  private judge(cause: Cause.Cause<ConnectionError<E>>): Effect.Effect<Failed<E>> {
    const failures = this.failuresSoFar() + 1
    return Effect.map(this.settings.retries.next({ failures, cause }), (retry) => ({ failures, cause, retry }))
  }

  private failuresSoFar(): number {
    return failuresSoFar(this.current, this.now(), this.settings.resetAfter)
  }

  private now(): number {
    return this.settings.clock.unsafeCurrentTimeMillis()
  }

  private get connections(): ReadonlyArray<Connection<P, E, R>> {
    return [this.connection, this.other].filter((connection) => connection !== undefined)
  }

  /** Waits until every connection is closed, for the rest of its `closeTimeout` at most. */
  private readonly closed: Effect.Effect<void> = Effect.gen(this, function* () {
    for (const connection of this.connections) {
      if (!(yield* connection.closed)) {
        yield* this.settings.journal.warn(
          this.current,
          "connection not closed within closeTimeout, going on without it"
        )
      }
    }
    this.connection = undefined
    this.other = undefined
  })
}
