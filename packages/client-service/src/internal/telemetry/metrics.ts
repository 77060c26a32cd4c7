import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import { ServiceStopped } from "../../ConnectionError.js"
import type { ConnectionState } from "../../ConnectionState.js"
import { isEstablished, isPending, type Phase } from "../connection/phase.js"
import { monotonic } from "../time/monotonic.js"
import { errorTypeOf } from "./errorType.js"
import type { Series } from "./series.js"

type State = ConnectionState<unknown, unknown>

/**
 * What a service tells of itself. What happens all the time, such as a use, costs no more than a few additions.
 */
export class Metrics {
  readonly #series: Series
  readonly #clock: Clock.Clock
  #state: State["_tag"] | undefined
  /** Since when there has been no connection, after one that was not stopped. */
  #downSince: number | undefined

  constructor(series: Series, clock: Clock.Clock) {
    this.#series = series
    this.#clock = clock
  }

  /** To measure by, in milliseconds. */
  now(): number {
    return monotonic(this.#clock)
  }

  /** Counts the state that the service is in. One that is gone is in none. */
  entered(state: State | undefined): void {
    if (state?._tag === this.#state) return
    if (this.#state !== undefined) this.#inState(this.#state, -1)
    this.#state = state?._tag
    if (state === undefined) return
    this.#inState(state._tag, 1)
    if (state._tag === "Waiting") retryDelay.unsafeUpdate(Duration.toSeconds(state.delay), this.#series.seconds)
    else if (state._tag === "Disconnecting" || state._tag === "Stopped") this.#downSince = undefined
  }

  /** Counts what the change of a connection's phase means. */
  changed(before: Phase<unknown, unknown>, after: Phase<unknown, unknown>): void {
    if (isPending(before)) {
      if (isEstablished(after)) this.#connected(before.since)
      else if (!isPending(after)) this.#attempted(after)
    } else if (isEstablished(before) && !isEstablished(after)) this.#disconnected(before, after)
  }

  waiting(more: number): void {
    waiters.unsafeUpdate(more, this.#series.labels)
  }

  /** Somebody has got a connection who has waited since then. */
  waited(since: number): void {
    this.#took(waitTime, since)
  }

  /** Somebody gets no connection: by the failure of an attempt or the end of the time, unless the service is at its end. */
  waitFailed(failure: Effect.Effect<never, unknown>, isEnd: boolean): void {
    const failed = Exit.isExit(failure) && Exit.isFailure(failure) ? errorTypeOf(failure.cause) : undefined
    const end = failed === "ServiceStopped" ? "stopped" : "exhausted"
    const reason = isEnd ? end : failed === undefined ? "timed_out" : "attempt_failed"
    waitersFailed.unsafeUpdate(1, this.#series.with("reason", reason))
  }

  useBegan(): number {
    uses.unsafeUpdate(1, this.#series.labels)
    return this.now()
  }

  useEnded(since: number): void {
    uses.unsafeUpdate(-1, this.#series.labels)
    this.#took(useTime, since)
  }

  probed(since: number): void {
    this.#took(heartbeatDuration, since)
  }

  gap(): void {
    gaps.unsafeUpdate(1, this.#series.labels)
  }

  readonly received = (bytes: number): void => {
    bytesReceived.unsafeUpdate(bytes, this.#series.with("unit", "By"))
  }

  #inState(tag: State["_tag"], more: number): void {
    status.unsafeUpdate(more, this.#series.inState(tag))
  }

  #attempted(phase: Phase<unknown, unknown>): void {
    const cause = phase._tag === "Failed" ? phase.cause : undefined
    const type = cause && errorTypeOf(cause)
    const outcome = type === undefined ? "interrupted" : type === "ConnectTimeout" ? "timed_out" : "failed"
    attempts.unsafeUpdate(1, this.#series.with("outcome", outcome, type))
  }

  #connected(since: number): void {
    attempts.unsafeUpdate(1, this.#series.with("outcome", "succeeded"))
    this.#took(createTime, since)
    openConnections.unsafeUpdate(1, this.#series.labels)
    if (this.#downSince !== undefined) this.#took(downtime, this.#downSince)
    this.#downSince = undefined
  }

  #disconnected({ _tag, since }: Serving, after: Phase<unknown, unknown>): void {
    const type = after._tag === "Lost" ? errorTypeOf(after.cause) : undefined
    const reason = type === undefined ? endOf(after) : type === "HeartbeatTimeout" ? "heartbeat" : "lost"
    disconnections.unsafeUpdate(1, this.#series.with("reason", reason, type))
    this.#took(connectionDuration, since)
    openConnections.unsafeUpdate(-1, this.#series.labels)
    if (_tag === "Up" && reason !== "stopped") this.#downSince = this.now()
  }

  #took(histogram: Metric.Metric.Histogram<number>, since: number): void {
    histogram.unsafeUpdate((this.now() - since) / 1000, this.#series.seconds)
  }
}

type Serving = Extract<Phase<unknown, unknown>, { readonly _tag: "Up" | "Retiring" }>

const endOf = (phase: Phase<unknown, unknown>): "replaced" | "stopped" =>
  phase._tag === "Closing" && phase.reason instanceof ServiceStopped ? "stopped" : "replaced"

/** What each tells, in the words of the documentation. */
const counter = (name: string, description: string) =>
  Metric.counter(`client_service.${name}`, { description, incremental: true })

// Not a gauge, which would not be the sum of those of several processes.
const upDownCounter = (name: string, description: string) => Metric.counter(`client_service.${name}`, { description })

// To six days. Not Metric.timer, whose label for the unit makes new labels of ours at every update.
const boundaries = MetricBoundaries.exponential({ start: 0.001, factor: 2, count: 30 })

const histogram = (name: string, description: string) =>
  Metric.histogram(`client_service.${name}`, boundaries, description)

export const status = upDownCounter("status", "services by the state that they are in, such as connected")
export const openConnections = upDownCounter(
  "connections.open",
  "connections that are up: two while maxAge replaces one that is still in use"
)
export const waiters = upDownCounter("waiters", "fibers that wait for a connection, or, as a stream does, for the next")
export const uses = upDownCounter("uses", "uses that are under way, and streams that have a connection")

const attempts = counter("attempts", "attempts by outcome: succeeded, failed, timed_out, interrupted")
const disconnections = counter("disconnections", "ends of connections by reason: lost, heartbeat, replaced, stopped")
const gaps = counter("gaps", "how often streams began anew on another connection")
const waitersFailed = counter(
  "waiters.failed",
  "those who got no connection by reason: timed_out, attempt_failed, stopped, exhausted"
)
const bytesReceived = counter("buffer.received", "bytes that arrived through a Transport")

const createTime = histogram("connection.create_time", "how long attempts that succeeded took")
const connectionDuration = histogram("connection.duration", "how long connections were up")
const waitTime = histogram("wait_time", "how long those waited who had to, and got a connection")
const useTime = histogram("use_time", "how long uses took")
const downtime = histogram(
  "downtime",
  "how long there was no connection, from the end of one to the next, unless it was stopped"
)
const retryDelay = histogram("retry.delay", "the delays before attempts")
const heartbeatDuration = histogram("heartbeat.duration", "how long probes took that were answered")
