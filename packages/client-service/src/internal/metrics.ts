import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"

export type Outcome = "succeeded" | "failed" | "timed_out" | "interrupted"

export type DisconnectReason = "lost" | "heartbeat" | "replaced" | "stopped"

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

  attempted(outcome: Outcome): void {
    attempts.unsafeUpdate(1, this.#with("outcome", outcome))
  }

  connected(millis: number): void {
    this.attempted("succeeded")
    timeToConnect.unsafeUpdate(millis, this.#labels)
    openConnections.unsafeModify(1, this.#labels)
  }

  disconnected(reason: DisconnectReason, millis: number): void {
    disconnects.unsafeUpdate(1, this.#with("reason", reason))
    connectionLifetime.unsafeUpdate(millis, this.#labels)
    openConnections.unsafeModify(-1, this.#labels)
  }

  waiting(more: number): void {
    waiters.unsafeModify(more, this.#labels)
  }

  #with(label: string, value: Outcome | DisconnectReason): ReadonlyArray<MetricLabel.MetricLabel> {
    const known = this.#labelled.get(value)
    if (known !== undefined) return known
    const labels = [...this.#labels, MetricLabel.make(label, value)]
    this.#labelled.set(value, labels)
    return labels
  }
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
