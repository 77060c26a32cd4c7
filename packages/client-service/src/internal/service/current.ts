import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import {
  type AttemptError,
  type ConnectionLost,
  NotConnected,
  type RetriesExhausted,
  type ServiceStopped
} from "../../ConnectionError.js"
import type { ConnectionState } from "../../ConnectionState.js"
import type { Established } from "../connection/phase.js"
import type { AsyncUse } from "../connection/use.js"
import type { Fork } from "../fork.js"
import type { Instruments } from "../telemetry/instruments.js"
import { monotonic } from "../time/monotonic.js"
import { type Restore, Suspension } from "../time/wait.js"
import { after } from "../time/within.js"

/** What those fail with who ask a service that is at its end. */
export type EndError<E> = ServiceStopped | RetriesExhausted<E>

export interface Settings<P, E> {
  readonly name: string
  readonly clock: Clock.Clock
  readonly fork: Fork<never>
  readonly state: () => ConnectionState<P, E>
  /** Is asked before a fiber begins to wait, and may have something to be done first. */
  readonly beforeWait: () => Effect.Effect<unknown> | undefined
  readonly metrics: Instruments | undefined
}

/** Somebody who wants a connection later than a generation, for as long as the limit allows. */
interface Demand<P, A, E, R> {
  readonly generation: number
  readonly begin: Begin<P, A, E, R>
  /** From the moment at which the wait begins. */
  readonly limit: () => Limit<E>
}

/** Goes on with a connection, in the step in which it is found. */
type Begin<P, A, E, R> = (established: Established<P>, restore: Restore) => Effect.Effect<A, E, R>

interface Limit<out E> {
  /** What to fail with, if the limit is reached. */
  readonly reached: () => Effect.Effect<never, E> | undefined
  /** Has the waiter called once there is something to look at, or the limit is reached. Gives what takes that back. */
  readonly enlist: (waiter: Waiter<E>) => () => void
}

type Waiter<E> = (failure?: Effect.Effect<never, E>) => void

/**
 * The connection that a service has now, and those who wait for the next.
 *
 * `established` is never behind. The `SubscriptionRef` is until a fiber has set it.
 */
export class Current<P, E> {
  /** Nothing in it is the end. */
  readonly ref: SubscriptionRef.SubscriptionRef<Option.Option<P> | undefined>
  /** Asked for all the time, by fibers that mostly find a connection. */
  readonly whenConnected: Effect.Effect<P, EndError<E>>
  readonly #settings: Settings<P, E>
  readonly #endless: Limit<EndError<E>> = {
    reached: () => undefined,
    enlist: (waiter) => {
      this.#patient ??= new Set()
      return this.#enlist(this.#patient, waiter)
    }
  }
  #established: Established<P> | undefined
  #published: Established<P> | undefined
  /** What those failed with who were turned away last. */
  #end: Exit.Exit<never, EndError<E>> | undefined
  #isAtEnd = false
  #failedAttempts = 0
  #lastFailure: Exit.Exit<never, AttemptError<E>> | undefined
  #patient: Set<Waiter<EndError<E>>> | undefined
  /** Those who wait until an attempt fails, by the number of that attempt among those that fail. */
  #impatient: Map<number, Set<Waiter<AttemptError<E> | EndError<E>>>> | undefined

  static make<P, E>(settings: Settings<P, E>): Effect.Effect<Current<P, E>> {
    return Effect.map(
      SubscriptionRef.make<Option.Option<P> | undefined>(Option.none<P>()),
      (ref) => new Current(settings, ref)
    )
  }

  constructor(settings: Settings<P, E>, ref: Current<P, E>["ref"]) {
    this.#settings = settings
    this.ref = ref
    const demand = protocolWithin<P, EndError<E>>(() => this.#endless)
    this.whenConnected = Effect.suspend(() => this.#established?.succeed ?? this.#demand(demand))
  }

  get protocol(): Option.Option<P> {
    return this.#established?.some ?? Option.none()
  }

  /** Waits for a connection, or until so many attempts have failed. */
  whenConnectedOrFailed(failures: number): Effect.Effect<P, EndError<E> | AttemptError<E>> {
    return this.#demand(protocolWithin<P, EndError<E> | AttemptError<E>>(() => this.#untilFailed(failures)))
  }

  /** The protocol of each connection, the newest for a consumer that is slow. */
  get connections(): Stream.Stream<P, EndError<E>> {
    return Stream.unfoldEffect(0, (generation) =>
      Effect.map(this.after(generation), (next) => Option.some([next.protocol, next.generation] as const))
    )
  }

  /** Waits for a connection later than a generation: from the call on, if that is to be so, and otherwise as the Effect is run. */
  after(generation: number, isNow?: true): Effect.Effect<Established<P>, EndError<E>> {
    return this.#demand<Established<P>, never, never>(
      { generation, begin: Exit.succeed, limit: () => this.#endless },
      isNow && this.#endless
    )
  }

  /** Runs an Effect with the protocol, for as long as the connection lives, and waits so many milliseconds for one. */
  use<A, E2, R>(
    f: (protocol: P) => Effect.Effect<A, E2, R>,
    maxWait: number
  ): Effect.Effect<A, E2 | EndError<E> | ConnectionLost | NotConnected<E>, R> {
    return Effect.flatMap(Effect.runtime<R>(), (runtime) =>
      this.user<A, E2, R>(({ protocol, users }, restore) => users.run(runtime, () => f(protocol), restore), maxWait)
    )
  }

  /** Waits until a function resumes the caller likewise. */
  useAsync<A, E2>(
    begin: AsyncUse<P, A, E2>,
    maxWait: number
  ): Effect.Effect<A, E2 | EndError<E> | ConnectionLost | NotConnected<E>> {
    return this.user<A, E2, never>(({ protocol, users }, restore) => users.runAsync(protocol, begin, restore), maxWait)
  }

  /** The service has a connection. */
  set(established: Established<P>): void {
    this.#established = established
    this.#wake()
  }

  /** A connection is lost, closed or retired: this one, or an older one. */
  leave(established: Established<P>): void {
    if (this.#established === established) this.#established = undefined
  }

  attemptFailed(failure: Exit.Exit<never, AttemptError<E>>): void {
    this.#failedAttempts += 1
    this.#lastFailure = failure
    const waiters = this.#impatient?.get(this.#failedAttempts)
    this.#impatient?.delete(this.#failedAttempts)
    this.#resume(waiters, failure)
  }

  /** Has those who wait fail, and whoever comes later. */
  turnAway(error: EndError<E>): void {
    this.#end = Exit.fail(error)
    this.#isAtEnd = true
    // With the failure itself: by the time that they look, others may be admitted again.
    this.#wake(this.#end)
  }

  /** Has whoever comes wait again. */
  admit(): void {
    this.#isAtEnd = false
  }

  /** Sets the `SubscriptionRef`, if it is behind. */
  get publish(): Effect.Effect<void> | undefined {
    if (this.#published === this.#established) return undefined
    this.#published = this.#established
    return SubscriptionRef.set(this.ref, this.protocol)
  }

  user<A, E2, R>(begin: Begin<P, A, E2 | ConnectionLost, R>): Effect.Effect<A, E2 | EndError<E> | ConnectionLost, R>
  user<A, E2, R>(
    begin: Begin<P, A, E2 | ConnectionLost | NotConnected<E>, R>,
    maxWait: number
  ): Effect.Effect<A, E2 | EndError<E> | ConnectionLost | NotConnected<E>, R>
  // Who finds a connection at once, as most do, needs no demand.
  user<A, E2, R>(
    begin: Begin<P, A, E2 | ConnectionLost | NotConnected<E>, R>,
    maxWait = Number.POSITIVE_INFINITY
  ): Effect.Effect<A, E2 | EndError<E> | ConnectionLost | NotConnected<E>, R> {
    return Effect.uninterruptibleMask((restore) =>
      this.#established === undefined
        ? restore(
            this.#demand<A, E2 | ConnectionLost | NotConnected<E>, R>({
              generation: 0,
              begin,
              limit: () => this.#untilLate(maxWait)
            })
          )
        : begin(this.#established, restore)
    )
  }

  // To find a connection and to begin with it is one step, and so is to find none and to wait: a fiber may be held up
  // between any two. Whoever is woken looks again, since by then the connection may be lost. `end` is the last before the
  // wait: who has been woken when others are turned away, and has not looked since, is turned away too.
  #demand<A, E2, R>(
    demand: Demand<P, A, E2 | EndError<E>, R>,
    limit?: Limit<E2 | EndError<E>>,
    end = this.#end,
    since?: number
  ): Effect.Effect<A, E2 | EndError<E>, R> {
    return Effect.uninterruptibleMask((restore) => {
      const established = this.#established
      if (established !== undefined && established.generation > demand.generation) {
        // Who wants a later one waits for the loss of the present one as well.
        if (since !== undefined && demand.generation === 0) this.#settings.metrics?.waited(since)
        return demand.begin(established, restore)
      }
      const last = this.#end
      if (last !== undefined && (this.#isAtEnd || (limit !== undefined && last !== end))) return this.#refuse(last)
      if (limit !== undefined) return this.#wait(restore, demand, limit, end, since)
      const wait = [demand, demand.limit(), last, this.#settings.metrics?.now()] as const
      const before = this.#settings.beforeWait()
      return before === undefined
        ? this.#wait(restore, ...wait)
        : restore(Effect.zipRight(before, this.#demand(...wait)))
    })
  }

  #wait<A, E2, R>(
    restore: Restore,
    demand: Demand<P, A, E2 | EndError<E>, R>,
    limit: Limit<E2 | EndError<E>>,
    end: Exit.Exit<never, EndError<E>> | undefined,
    since: number | undefined
  ): Effect.Effect<A, E2 | EndError<E>, R> {
    const failure = limit.reached()
    if (failure !== undefined) return this.#refuse(failure)
    const waiting = new Suspension<A, E2 | EndError<E>, R>()
    const delist = limit.enlist((failure) =>
      waiting.resume(failure === undefined ? this.#demand(demand, limit, end, since) : this.#refuse(failure))
    )
    waiting.pending = { cancel: Effect.sync(delist) }
    return waiting.outcome(restore)
  }

  #refuse<E2>(failure: Effect.Effect<never, E2 | EndError<E>>): Effect.Effect<never, E2 | EndError<E>> {
    this.#settings.metrics?.waitFailed(failure, failure === this.#end)
    return failure
  }

  #untilFailed(failures: number): Limit<AttemptError<E> | EndError<E>> {
    const last = this.#failedAttempts + failures
    return {
      reached: () => (last <= this.#failedAttempts ? this.#lastFailure : undefined),
      enlist: (waiter) => {
        this.#impatient ??= new Map()
        const waiters = this.#impatient.get(last) ?? new Set()
        this.#impatient.set(last, waiters)
        const delist = this.#enlist(waiters, waiter)
        return () => {
          delist()
          if (waiters.size === 0 && this.#impatient?.get(last) === waiters) this.#impatient.delete(last)
        }
      }
    }
  }

  #untilLate(millis: number): Limit<NotConnected<E> | EndError<E>> {
    const { clock, fork, name, state } = this.#settings
    const until = monotonic(clock) + millis
    const left = () => until - monotonic(clock)
    const late = Effect.suspend(
      () => new NotConnected<E>({ service: name, state: state(), maxWait: Duration.millis(millis) })
    )
    return {
      reached: () => (left() > 0 ? undefined : late),
      enlist: (waiter) => {
        const delist = this.#endless.enlist((end) => {
          cancel()
          waiter(end)
        })
        const cancel = after(fork, left(), () => {
          delist()
          waiter(late)
        })
        return () => {
          delist()
          cancel()
        }
      }
    }
  }

  #enlist<E2>(waiters: Set<Waiter<E2>>, waiter: Waiter<E2>): () => void {
    waiters.add(waiter)
    this.#settings.metrics?.waiting(1)
    return () => {
      if (waiters.delete(waiter)) this.#settings.metrics?.waiting(-1)
    }
  }

  #wake(end?: Exit.Exit<never, EndError<E>>): void {
    const patient = this.#patient
    const impatient = this.#impatient
    this.#patient = undefined
    this.#impatient = undefined
    this.#resume(patient, end)
    if (impatient !== undefined) for (const waiters of impatient.values()) this.#resume(waiters, end)
  }

  #resume<E2>(waiters: Set<Waiter<E2>> | undefined, failure?: Effect.Effect<never, E2>): void {
    if (waiters === undefined) return
    this.#settings.metrics?.waiting(-waiters.size)
    // None is delisted any more, so that it is not counted twice.
    const woken = [...waiters]
    waiters.clear()
    for (const waiter of woken) waiter(failure)
  }
}

const protocolWithin = <P, E>(limit: () => Limit<E>): Demand<P, P, E, never> => ({
  generation: 0,
  begin: ({ succeed }) => succeed,
  limit
})
