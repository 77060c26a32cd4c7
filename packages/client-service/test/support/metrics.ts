import { Effect, Metric, MetricState } from "effect"

/** What the metrics of a service say, by name and by the label that tells them apart. */
export const metricsOf = (service: string): Effect.Effect<Record<string, number | ReadonlyArray<number>>> =>
  Effect.map(Metric.snapshot, (pairs) =>
    Object.fromEntries(
      pairs.flatMap(({ metricKey: { name, tags }, metricState }) => {
        if (!tags.some(({ key, value }) => key === "service" && value === service)) return []
        const kind = tags.find(({ key }) => key === "outcome" || key === "reason")?.value
        const key = name.replace("client_service_", "") + (kind === undefined ? "" : ` ${kind}`)
        return [[key, valueOf(metricState)]]
      })
    )
  )

const valueOf = (state: MetricState.MetricState.Untyped): number | ReadonlyArray<number> => {
  if (MetricState.isCounterState(state)) return Number(state.count)
  if (MetricState.isGaugeState(state)) return Number(state.value)
  if (MetricState.isHistogramState(state)) return [state.count, state.sum]
  throw new Error("a metric of another kind")
}
