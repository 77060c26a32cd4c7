import { Clock, Effect, Metric, MetricState } from "effect"
import { Metrics } from "../../src/internal/telemetry/metrics.js"
import { Series } from "../../src/internal/telemetry/series.js"

/**
 * What the metrics of a service say, by name and by the labels that tell them apart: the count of what is counted, and the
 * count and the sum of what is measured.
 */
export const metricsOf = (service: string): Effect.Effect<Record<string, number | ReadonlyArray<number>>> =>
  metricsWith("client_service.name", service)

/** The same of those that have a label. */
export const metricsWith = (
  label: string,
  wanted: string
): Effect.Effect<Record<string, number | ReadonlyArray<number>>> =>
  Effect.map(Metric.snapshot, (pairs) =>
    Object.fromEntries(
      pairs.flatMap(({ metricKey: { name, tags }, metricState }) => {
        if (!tags.some(({ key, value }) => key === label && value === wanted)) return []
        const kinds = tags.filter(({ key }) => telling.includes(key)).map(({ value }) => value)
        return [[[name.replace("client_service.", ""), ...kinds].join(" "), valueOf(metricState)]]
      })
    )
  )

const telling = ["outcome", "reason", "state", "error.type"]

const valueOf = (state: MetricState.MetricState.Untyped): number | ReadonlyArray<number> => {
  if (MetricState.isCounterState(state)) return Number(state.count)
  if (MetricState.isHistogramState(state)) return [state.count, state.sum]
  throw new Error("a metric of another kind")
}

/** Metrics that tell how many more wait. */
export const countingWaiters = (waiting: (more: number) => void): Metrics =>
  Object.assign(new Metrics(Series.of([], { "client_service.name": "waiters" }), Clock.make()), { waiting })
