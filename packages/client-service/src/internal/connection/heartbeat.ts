import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { HeartbeatTimeout } from "../../ConnectionError.js"
import type { Fork } from "../fork.js"
import type { Instruments } from "../telemetry/instruments.js"
import { monotonic } from "../time/monotonic.js"
import { sleep } from "../time/sleep.js"
import { endWithin } from "../time/within.js"
import type { AttemptStatus } from "./attemptStatus.js"
import { isAwaited } from "./isAwaited.js"

export interface Heartbeat<in P, out E, out R> {
  readonly probe: (protocol: P) => Effect.Effect<unknown, E, R>
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
  /** When the peer was last heard of, by `monotonic`. */
  readonly lastReceived: ((protocol: P) => number | undefined) | undefined
}

export interface Surroundings<R> {
  readonly service: string
  readonly clock: Clock.Clock
  readonly fork: Fork<R>
  /** What tells that a fiber is one of the connection. */
  readonly services: Context.Context<AttemptStatus>
  /** Has a fiber end with the connection. */
  readonly keep: (fiber: Fiber.RuntimeFiber<unknown>) => void
  readonly metrics: Instruments | undefined
}

/**
 * Probes a connection, for its heartbeat and for whoever asks. There is one probe at a time, which all of them share, so a
 * clock that jumps by hours brings no more than one.
 */
export class Pulse<P, E, R> {
  readonly #heartbeat: Heartbeat<P, E, R>
  readonly #protocol: P
  readonly #surroundings: Surroundings<R>
  #probing: Fiber.RuntimeFiber<Exit.Exit<unknown, E>> | undefined
  /** When the connection came up, or the last probe ended. */
  #since: number

  constructor(heartbeat: Heartbeat<P, E, R>, protocol: P, surroundings: Surroundings<R>) {
    this.#heartbeat = heartbeat
    this.#protocol = protocol
    this.#surroundings = surroundings
    this.#since = this.#now()
  }

  /** Probes whenever that is due, until a probe fails, and gives the cause. */
  get untilLost(): Effect.Effect<Cause.Cause<E | HeartbeatTimeout>> {
    return Effect.suspend(() => {
      const { interval, timeout } = this.#heartbeat
      const left = this.#since + Duration.toMillis(interval) - this.#now()
      if (left > 0) return Effect.zipRight(sleep(left), this.untilLost)
      return Effect.flatMap(this.probe(timeout), (cause) =>
        cause === undefined ? this.untilLost : Effect.succeed(cause)
      )
    })
  }

  /** Probes for somebody who asks, who may be the probe itself: it would wait for its own end. */
  check(timeout: Duration.Duration): Effect.Effect<Cause.Cause<E | HeartbeatTimeout> | undefined> {
    return Effect.withFiberRuntime((fiber) => {
      const probing = this.#probing
      if (probing === undefined) return this.probe(timeout, true)
      return Effect.flatMap(isAwaited(probing, fiber), (isAwaited) =>
        isAwaited
          ? Effect.dieMessage(`${this.#surroundings.service}: a probe waits for its own answer`)
          : this.probe(timeout, true)
      )
    })
  }

  /**
   * Probes, unless a probe is under way, waits for the answer, and gives the cause if there is none in time. Who `isAsking` does
   * not wait longer for it.
   */
  probe(timeout: Duration.Duration, isAsking = false): Effect.Effect<Cause.Cause<E | HeartbeatTimeout> | undefined> {
    return Effect.suspend(() => {
      this.#probing ??= this.#begin()
      return this.#answer(this.#probing, timeout, Duration.toMillis(timeout), isAsking)
    }).pipe(Effect.catchAllCause(Effect.succeed))
  }

  #answer(
    probing: Fiber.RuntimeFiber<Exit.Exit<unknown, E>>,
    timeout: Duration.Duration,
    millis: number,
    isAsking: boolean
  ): Effect.Effect<Cause.Cause<E | HeartbeatTimeout> | undefined> {
    return Effect.flatMap(endWithin(this.#surroundings.fork, millis, probing), (ended) => {
      if (ended !== null) {
        const answer = Exit.flatten(ended)
        return Effect.succeed(Exit.isFailure(answer) ? answer.cause : undefined)
      }
      // The peer may be at something else, of which it sends.
      const heard = this.#heartbeat.lastReceived?.(this.#protocol) ?? Number.NEGATIVE_INFINITY
      const left = heard + Duration.toMillis(timeout) - this.#now()
      if (left > 0) return isAsking ? Effect.succeed(undefined) : this.#answer(probing, timeout, left, isAsking)
      const silence = Cause.fail(new HeartbeatTimeout({ service: this.#surroundings.service, duration: timeout }))
      // Or it would still be a reader, for which a loss waits; but one that can't be interrupted is not waited for.
      probing.unsafeInterruptAsFork(FiberId.none)
      const isOver = () => probing.unsafePoll() !== null
      return Effect.as(Effect.repeat(Effect.yieldNow(), { until: isOver, times: 100 }), silence)
    })
  }

  // Not at once, since it would have ended before it is remembered.
  #begin(): Fiber.RuntimeFiber<Exit.Exit<unknown, E>> {
    const { fork, services } = this.#surroundings
    const probing = fork.soonWith(Effect.exit(Effect.suspend(() => this.#heartbeat.probe(this.#protocol))), services)
    this.#surroundings.keep(probing)
    const { metrics } = this.#surroundings
    const began = metrics?.now()
    probing.addObserver((ended) => {
      if (began !== undefined && Exit.isSuccess(ended)) metrics?.probed(began)
      this.#probing = undefined
      this.#since = this.#now()
    })
    return probing
  }

  #now(): number {
    return monotonic(this.#surroundings.clock)
  }
}
