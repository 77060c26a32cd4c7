import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AttemptError, type ConnectionError, RetriesExhausted, ServiceStopped } from "../ConnectionError.js"
import type { ConnectionState } from "../ConnectionState.js"
import { Connection, type Settings as ConnectionSettings, type Established } from "./connection.js"
import { ConnectionWaiters } from "./connectionWaiters.js"
import { type Entry, isLogged, type Journal } from "./journal.js"
import type { RetryDriver } from "./retryDriver.js"
import { sleep } from "./sleep.js"
import {
  type EventName,
  type Events,
  type Failed,
  failuresSoFar,
  initial,
  type Model,
  type Retry,
  transition
} from "./transitions.js"

export interface Settings<P, E, R> extends ConnectionSettings<P, E, R> {
  /** Milliseconds. */
  readonly resetAfter: number
  readonly retries: RetryDriver<E, R>
  /** How many milliseconds a connection lives before it is replaced, drawn for each. */
  readonly maxAge: Effect.Effect<number> | undefined
  readonly replacementRetries: RetryDriver<E, R>
  readonly journal: Journal
}

/**
 * Carries out the transitions.
 *
 * The model changes in `dispatch` and nowhere else, and before the call that causes it returns. What a state has to do
 * (connect, wait, close) is done in one fiber, the loop, which dispatches the event that it leads to and goes on with the
 * next state. It ends where there is nothing to do, as while a connection is up, and begins again with the next event. A
 * command from outside takes over: it interrupts the loop, wherever that is, and begins another.
 */
export class Machine<P, E, R> {
  readonly #settings: Settings<P, E, R>
  #current: Model<P, E> = initial
  #connection: Connection<P, E, R> | undefined
  /** The connection that is to replace the present one, or that it has replaced. */
  #other: Connection<P, E, R> | undefined
  #loop: Fiber.RuntimeFiber<void> | undefined
  #isShutDown = false
  #isPublishing = false
  #published: SubscriptionRef.SubscriptionRef<ConnectionState<P, E>> | undefined
  #unpublished: Array<{ readonly state?: ConnectionState<P, E>; readonly entry: Entry }> = []
  readonly #waiters: ConnectionWaiters<Established<P>, ServiceStopped | RetriesExhausted<E>, AttemptError<E>>
  /** Completed when the stop under way is. */
  #stopping: Deferred.Deferred<void> | undefined

  constructor(settings: Settings<P, E, R>) {
    this.#settings = settings
    this.#waiters = new ConnectionWaiters((more) => settings.metrics.waiting(more))
  }

  get model(): Model<P, E> {
    return this.#current
  }

  /** The state and its changes. Most services have nobody who watches them, so it is made for the first who does. */
  get states(): Effect.Effect<SubscriptionRef.SubscriptionRef<ConnectionState<P, E>>> {
    return Effect.suspend(() => {
      if (this.#published !== undefined) return Effect.succeed(this.#published)
      const { state } = this.#current
      return Effect.flatMap(SubscriptionRef.make(state), (made) => {
        if (this.#published !== undefined || this.#current.state !== state) return this.states
        // It begins with the present state, and those before are not to follow it.
        this.#unpublished = this.#unpublished.map(({ entry }) => ({ entry }))
        this.#published = made
        return Effect.succeed(made)
      })
    })
  }

  /** The connection that is up, unless its loss was signalled already. */
  get usable(): Established<P> | undefined {
    return this.#connection?.established
  }

  start(): Effect.Effect<void> {
    if (this.#isShutDown) return Effect.void
    return this.#command("start", {}) ? this.#publish() : this.#settings.journal.startedTwice(this.#current)
  }

  stop(): Effect.Effect<void> {
    const loop = this.#loop
    const closing = this.#connections.some((connection) => connection.closeTimeLeft > 0)
    const halted = this.#command("stop", { closing }) && loop !== undefined ? Fiber.await(loop) : Effect.void
    const stopped = this.#stopping === undefined ? Effect.void : Deferred.await(this.#stopping)
    return this.#publish().pipe(Effect.zipRight(stopped), Effect.zipLeft(halted))
  }

  reconnect(): Effect.Effect<void> {
    this.#command("reconnect", { failures: this.#failuresSoFar() })
    return this.#publish()
  }

  /** Stops, and ignores every later start. */
  shutDown(): Effect.Effect<void> {
    this.#isShutDown = true
    return this.stop()
  }

  /** Waits for a connection later than a generation. */
  awaitConnection(after: number): Effect.Effect<Established<P>, ServiceStopped | RetriesExhausted<E>> {
    return this.#look(after, (holds, again) => this.#waiters.wait(holds, again))
  }

  /** Waits for a connection, until so many attempts have failed. */
  awaitConnectionOrFailure(
    failures: number
  ): Effect.Effect<Established<P>, ServiceStopped | RetriesExhausted<E> | AttemptError<E>> {
    return Effect.suspend(() => {
      const last = this.#waiters.failureFromNow(failures)
      return this.#look<AttemptError<E>>(0, (holds, again) => this.#waiters.waitUntilFailure(last, holds, again))
    })
  }

  // Whoever is woken looks again, since by then the connection may be lost.
  #look<E2 = never>(
    after: number,
    wait: (
      holds: () => boolean,
      again: Effect.Effect<Established<P>, E2 | ServiceStopped | RetriesExhausted<E>>
    ) => Effect.Effect<Established<P>, E2 | ServiceStopped | RetriesExhausted<E>>
  ): Effect.Effect<Established<P>, E2 | ServiceStopped | RetriesExhausted<E>> {
    const answer = (): Effect.Effect<Established<P>, ServiceStopped | RetriesExhausted<E>> | undefined => {
      const established = this.usable
      return established !== undefined && established.generation > after
        ? Effect.succeed(established)
        : this.#terminal()
    }
    const isAnswered = () => answer() !== undefined
    const looking: Effect.Effect<Established<P>, E2 | ServiceStopped | RetriesExhausted<E>> = Effect.suspend(
      () => answer() ?? wait(isAnswered, looking)
    )
    return looking
  }

  #terminal(): Effect.Effect<never, ServiceStopped | RetriesExhausted<E>> | undefined {
    const { state } = this.#current
    const service = this.#settings.name
    if (state._tag === "Stopped") return Effect.fail(new ServiceStopped({ service }))
    if (state._tag === "Exhausted") {
      return Effect.fail(new RetriesExhausted({ service, failures: state.failures, cause: state.cause }))
    }
    return undefined
  }

  #command<Name extends EventName>(name: Name, event: Events<P, E>[Name]): boolean {
    const changed = this.#dispatch(name, event)
    if (changed) {
      this.#loop?.unsafeInterruptAsFork(FiberId.none)
      this.#begin()
    }
    return changed
  }

  #dispatch<Name extends EventName>(name: Name, event: Events<P, E>[Name]): boolean {
    const before = this.#current
    const after = transition(before, name, event)
    if (after === before) return false
    this.#current = after
    this.#unpublished.push({ state: after.state, entry: this.#settings.journal.transition(before, after) })

    if (after.state._tag === "Disconnecting") this.#stopping ??= Deferred.unsafeMake(FiberId.none)
    if (name === "closed" && this.#stopping !== undefined) {
      Deferred.unsafeDone(this.#stopping, Effect.void)
      this.#stopping = undefined
    }
    if (after.state._tag === "Connected") {
      this.#waiters.resumeAll()
      return true
    }
    const terminal = this.#terminal()
    if (terminal !== undefined) this.#waiters.failAll(terminal)
    // Last, since what it runs may change the state again.
    const reason = name === "stop" ? new ServiceStopped({ service: this.#settings.name }) : undefined
    for (const connection of this.#connections) connection.close(reason)
    return true
  }

  /** Lets the world know of the transitions, in order, as far as it wants to. */
  #publish(): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      if (this.#isPublishing) return Effect.void
      const isWanted = this.#published !== undefined || this.#unpublished.some(({ entry }) => isLogged(fiber, entry))
      if (isWanted) return Effect.uninterruptible(Effect.suspend(() => this.#publishNext()))
      this.#unpublished = []
      return Effect.void
    })
  }

  #publishNext(): Effect.Effect<void> {
    const next = this.#unpublished.shift()
    this.#isPublishing = next !== undefined
    if (next === undefined) return Effect.void
    const { entry, state } = next
    const published = this.#published
    return (published && state ? SubscriptionRef.set(published, state) : Effect.void).pipe(
      Effect.zipRight(this.#settings.journal.write(entry)),
      Effect.flatMap(() => this.#publishNext())
    )
  }

  #begin(): void {
    this.#loop = this.#settings.fork.soon(this.#run())
  }

  // Publishes first: whoever gave the command that began this loop may have been interrupted before doing so.
  #run(): Effect.Effect<void, never, R> {
    return Effect.flatMap(this.#publish(), () => {
      const activity = this.#activity()
      if (activity !== undefined) return Effect.flatMap(activity, () => this.#run())
      this.#loop = undefined
      return Effect.void
    })
  }

  #activity(): Effect.Effect<unknown, never, R> | undefined {
    const { state } = this.#current
    switch (state._tag) {
      case "Connecting":
        return this.#connect()
      case "Connected":
        return this.#connection === undefined ? undefined : this.#watch(this.#connection)
      case "Waiting":
        return Effect.map(sleep(this.#timeToRetry(state)), () => this.#dispatch("delayOver", {}))
      case "Disconnecting":
      case "Restarting":
        return Effect.map(this.#closed(), () => this.#dispatch("closed", {}))
      default:
        return undefined
    }
  }

  #connect(): Effect.Effect<unknown, never, R> {
    return Effect.gen(this, function* () {
      yield* this.#closed()
      const connection = yield* this.#open((connection) => {
        this.#connection = connection
      })
      yield* connection.settled
      const exit = connection.establish(this.#current.generation + 1)
      if (Exit.isSuccess(exit)) {
        return this.#dispatch("succeeded", { protocol: exit.value, now: this.#now() })
      }
      connection.close()
      yield* this.#closed()
      const failed = yield* this.#judge(exit.cause)
      this.#waiters.attemptFailed(Effect.failCause(exit.cause))
      return this.#dispatch("failed", failed)
    })
  }

  #watch(connection: Connection<P, E, R>): Effect.Effect<unknown, never, R> | undefined {
    const { failure } = connection
    if (failure !== undefined) {
      // And the one that was to replace it, which is not left to the transition, since the policy may take its time.
      for (const each of this.#connections) if (each.established === undefined) each.close()
      return Effect.map(this.#judge(failure), (lost) => this.#dispatch("lost", lost))
    }
    const { maxAge } = this.#settings
    if (maxAge === undefined) return undefined
    return Effect.gen(this, function* () {
      yield* connection.failed(yield* maxAge)
      if (connection.failure === undefined) yield* this.#replace(connection)
    })
  }

  // While a connection is up, there may be no loop to notice its loss.
  #lost(connection: Connection<P, E, R>): void {
    if (connection === this.#connection && this.#loop === undefined) this.#begin()
  }

  // Ends when the connection is replaced or lost. Until then, it serves as ever.
  #replace(connection: Connection<P, E, R>): Effect.Effect<void, never, R> {
    return Effect.gen(this, function* () {
      const { journal, replacementRetries } = this.#settings
      for (let failures = 1; connection.failure === undefined; failures++) {
        const lost = connection.failed(Number.POSITIVE_INFINITY)
        if (this.#other !== undefined) yield* Effect.raceFirst(this.#other.retired, lost)
        if (connection.failure !== undefined) return
        const successor = yield* this.#open((successor) => {
          this.#other = successor
        })
        yield* Effect.raceFirst(successor.settled, lost)
        if (connection.failure !== undefined) return
        const exit = successor.establish(this.#current.generation + 1)
        if (Exit.isSuccess(exit)) {
          this.#connection = successor
          this.#other = connection
          connection.retire()
          const event = { protocol: exit.value, failures: this.#failuresSoFar(), now: this.#now() }
          return void this.#dispatch("replaced", event)
        }
        successor.close()
        yield* journal.warn(this.#current, "not replaced yet", exit.cause)
        const next = replacementRetries.next({ failures, cause: exit.cause })
        const retry = yield* Effect.raceFirst(next, Effect.as(lost, Option.none<Retry>()))
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
  #open(handOver: (connection: Connection<P, E, R>) => void): Effect.Effect<Connection<P, E, R>> {
    return Effect.zipWith(this.#settings.spans.begin(this.#current.attempt), Scope.make(), (span, scope) => {
      const connection = new Connection(this.#settings, scope, span, (connection) => this.#lost(connection))
      handOver(connection)
      return connection
    })
  }

  // The delay counts from the failure, and the policy may have taken its time. The clock may have been set back.
  #timeToRetry({ delay, retryAt }: { readonly delay: Duration.Duration; readonly retryAt: number }): number {
    return Math.min(Duration.toMillis(delay), retryAt - this.#now())
  }

  #judge(cause: Cause.Cause<ConnectionError<E>>): Effect.Effect<Failed<E>> {
    const failures = this.#failuresSoFar() + 1
    return Effect.map(this.#settings.retries.next({ failures, cause }), (retry) => ({ failures, cause, retry }))
  }

  #failuresSoFar(): number {
    return failuresSoFar(this.#current, this.#now(), this.#settings.resetAfter)
  }

  #now(): number {
    return this.#settings.clock.unsafeCurrentTimeMillis()
  }

  get #connections(): ReadonlyArray<Connection<P, E, R>> {
    return [this.#connection, this.#other].filter((connection) => connection !== undefined)
  }

  /** Waits until every connection is closed, for the rest of its `closeTimeout` at most. */
  #closed(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const open = this.#connections.find((connection) => connection.isClosing)
      if (open === undefined) {
        this.#connection = undefined
        this.#other = undefined
        return Effect.void
      }
      return Effect.flatMap(open.closed, (isClosed) => {
        if (isClosed) return this.#closed()
        if (open === this.#connection) this.#connection = undefined
        else this.#other = undefined
        const { journal } = this.#settings
        const message = "not closed within closeTimeout"
        return Effect.zipRight(journal.warn(this.#current, message), this.#closed())
      })
    })
  }
}
