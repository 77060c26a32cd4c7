/**
 * Measures services by metrics of Effect, which are named as OpenTelemetry has it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import { attributesOf } from "./internal/telemetry/attributes.js"
import { Instrumentation } from "./internal/telemetry/instrumentation.js"
import { Metrics } from "./internal/telemetry/metrics.js"
import { Series } from "./internal/telemetry/series.js"
import { SeriesOfMap } from "./internal/telemetry/seriesOfMap.js"

/**
 * Has every service measured that is made under it. Their metrics have the labels of whoever makes them, and tell them apart
 * by `client_service.name`, if they have a `name` of their own, and by `server.address`, `server.port` and
 * `network.transport`, as far as the endpoint tells them. Those of a `ClientServiceMap` are counted together, by the
 * `client_service.map.name` of that if it has a `name`, unless it has `metricsByKey`; and those that come after the first
 * 1,000 are, with the label `otel.metric.overflow`.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { ClientService, Endpoint, Telemetry } from "effect-client-service"
 *
 * declare const endpoint: Endpoint.Endpoint<string>
 *
 * class Greeter extends ClientService.Tag("app/Greeter")<Greeter, string>() {}
 *
 * const GreeterLive = Greeter.layer({ endpoint, name: "greeter" }).pipe(Layer.provide(Telemetry.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = /* @__PURE__ */ Layer.succeed(Instrumentation, ({ clock, label, server }) =>
  Effect.zipWith(FiberRef.get(FiberRef.currentMetricLabels), SeriesOfMap, (labels, map) => {
    const own = map?.byKey === false ? {} : attributesOf(label, server)
    const attributes = { "client_service.map.name": map?.name, ...own }
    return new Metrics(Series.of(labels, attributes), clock)
  })
)
