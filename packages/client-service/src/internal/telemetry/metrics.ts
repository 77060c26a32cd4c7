import * as Cause from "effect/Cause"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import { ConnectTimeout, HeartbeatTimeout, ServiceStopped } from "../../ConnectionError.js"
import { isEstablished, isPending, type Phase } from "../connection/phase.js"

type Outcome = "succeeded" | "failed" | "timed_out" | "interrupted"

type DisconnectReason = "lost" | "heartbeat" | "replaced" | "stopped"

/**
 * What a service tells of itself, under the labels of whoever made it, and under its name if it was given one. Metrics are
 * for ever, so services by the thousand that are named after what they connect to are counted together.
 */
export class Metrics {
  readonly #labels: ReadonlyArray<MetricLabel.MetricLabel>
  // Effect looks up what a metric counts by the identity of its labels.
  readonly #labelled = new Map<Outcome | DisconnectReason, ReadonlyArray<MetricLabel.MetricLabel>>()

  constructor(name: string | undefined, labels: ReadonlyArray<MetricLabel.MetricLabel>) {
    this.#labels = name === undefined ? labels : [...labels, MetricLabel.make("service", name)]
  }

  /** Counts what the change of a connection's phase means. `now` is by `monotonic`, in milliseconds. */
  changed(before: Phase<unknown, unknown>, after: Phase<unknown, unknown>, now: number): void {
    if (isPending(before)) {
      if (isEstablished(after)) this.#connected(now - before.since)
      else if (!isPending(after)) this.#attempted(outcomeOf(after))
    } else if (isEstablished(before) && !isEstablished(after)) this.#disconnected(reasonOf(after), now - before.since)
  }

  waiting(more: number): void {
    waiters.unsafeModify(more, this.#labels)
  }

  #attempted(outcome: Outcome): void {
    attempts.unsafeUpdate(1, this.#with("outcome", outcome))
  }

  #connected(millis: number): void {
    this.#attempted("succeeded")
    timeToConnect.unsafeUpdate(millis, this.#labels)
    openConnections.unsafeModify(1, this.#labels)
  }

  #disconnected(reason: DisconnectReason, millis: number): void {
    disconnects.unsafeUpdate(1, this.#with("reason", reason))
    connectionLifetime.unsafeUpdate(millis, this.#labels)
    openConnections.unsafeModify(-1, this.#labels)
  }

  #with(label: string, value: Outcome | DisconnectReason): ReadonlyArray<MetricLabel.MetricLabel> {
    const known = this.#labelled.get(value)
    if (known !== undefined) return known
    const labels = [...this.#labels, MetricLabel.make(label, value)]
    this.#labelled.set(value, labels)
    return labels
  }
}

const outcomeOf = (phase: Phase<unknown, unknown>): Outcome => {
  if (phase._tag !== "Failed") return "interrupted"
  return Cause.squash(phase.cause) instanceof ConnectTimeout ? "timed_out" : "failed"
}

const reasonOf = (phase: Phase<unknown, unknown>): DisconnectReason => {
  if (phase._tag === "Lost") return Cause.squash(phase.cause) instanceof HeartbeatTimeout ? "heartbeat" : "lost"
  return phase._tag === "Closing" && phase.reason instanceof ServiceStopped ? "stopped" : "replaced"
}

const attempts = Metric.counter("client_service_attempts", { incremental: true })

const disconnects = Metric.counter("client_service_disconnects", { incremental: true })

const openConnections = Metric.gauge("client_service_open_connections")

const waiters = Metric.gauge("client_service_waiters")

// Not Metric.timer, whose label for the unit makes new labels of ours at every update.
const millis = (name: string) =>
  Metric.histogram(name, MetricBoundaries.exponential({ start: 0.5, factor: 2, count: 35 }))

const timeToConnect = millis("client_service_time_to_connect_millis")

const connectionLifetime = millis("client_service_connection_lifetime_millis")
