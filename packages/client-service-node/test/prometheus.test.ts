import { readFileSync } from "node:fs"
import * as Metrics from "@effect/opentelemetry/Metrics"
import * as Resource from "@effect/opentelemetry/Resource"
import { describe, expect, it } from "@effect/vitest"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { ClientService, Telemetry } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { install, make as makePrometheus } from "test-servers/prometheus"
import { freePort } from "test-servers/serverProcess"
import { listen } from "./support/server.js"

const prometheus = await install()

const documentation = new URL("../../client-service/docs/telemetry.md", import.meta.url)

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

describe.skipIf(!prometheus.isInstalled)("in Prometheus, by @effect/opentelemetry,", () => {
  it.scopedLive(
    "the series have the names and the labels of the conventions",
    () =>
      Effect.gen(function* () {
        if (!prometheus.isInstalled) return
        const port = yield* freePort
        yield* Layer.build(
          Metrics.layer(() => new PrometheusExporter({ host: "127.0.0.1", port })).pipe(
            Layer.provide(Resource.layer({ serviceName: "test" }))
          )
        )
        const server = yield* makePrometheus(prometheus.paths, port)

        /** The series of a query, by the labels that tell them apart. */
        const query = (expression: string): Effect.Effect<ReadonlyArray<Series>> =>
          Effect.promise(async () => {
            const answer = await fetch(`${server.url}/api/v1/query?query=${encodeURIComponent(expression)}`)
            const { data }: { data: { result: ReadonlyArray<Series> } } = JSON.parse(await answer.text())
            return data.result
          })
        const valueOf = (expression: string) => Effect.map(query(expression), ([series]) => Number(series?.value[1]))
        /** Asks until Prometheus has read it. */
        const becomes = (expression: string, expected: number) =>
          valueOf(expression).pipe(
            Effect.filterOrFail(
              (value) => value === expected,
              (value) => `${expression} is ${value}, not ${expected}`
            ),
            Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 100 })
          )

        const peer = yield* listen((socket) => void socket.write("hello"))
        const service = yield* ClientService.make({
          endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port: peer.port }),
          name: "greeter",
          retryPolicy: Schedule.spaced("10 millis"),
          heartbeat: { probe: () => Effect.void, interval: "20 millis", timeout: "1 second" }
        }).pipe(Effect.provide(Telemetry.layer))
        const waiter = yield* Effect.fork(service.whenConnected())
        yield* service.start
        yield* Fiber.join(waiter)
        yield* service.use((transport) => Stream.runHead(transport.incoming))
        const using = yield* Effect.fork(Effect.exit(service.use(() => Effect.never)))

        const labels = `{client_service_name="greeter",server_address="127.0.0.1",server_port="${peer.port}",network_transport="tcp"}`
        const state = (name: string) => labels.replace("}", `,state="${name}"}`)
        yield* becomes(`client_service_status${state("connected")}`, 1)
        yield* becomes(`client_service_connections_open${labels}`, 1)
        yield* becomes(`client_service_uses${labels}`, 1)
        yield* becomes(`client_service_waiters${labels}`, 0)

        yield* peer.kill
        yield* Fiber.join(using)
        yield* becomes(`client_service_connections_open${labels}`, 0)
        yield* becomes(`client_service_status${state("connected")}`, 0)
        yield* service.stop
        yield* becomes(`client_service_status${state("stopped")}`, 1)

        const series = (yield* query(`{client_service_name="greeter"}`)).map(({ metric }) => metric)
        /** What tells the series of a metric apart. */
        const kinds = (name: string, ...labels: ReadonlyArray<string>) =>
          series
            .filter(({ __name__ }) => __name__ === `client_service_${name}`)
            .map((metric) => labels.map((label) => metric[label] ?? "").join(" "))
        expect(kinds("attempts_total", "outcome", "error_type")).toEqual(
          expect.arrayContaining(["succeeded ", "failed ConnectError.Refused"])
        )
        expect(kinds("disconnections_total", "reason", "error_type")).toEqual([expect.stringMatching(/^lost \w/)])
        // An exporter by OTLP would make the unit a part of the name.
        for (const name of ["connection_create_time", "connection_duration", "wait_time", "use_time", "retry_delay"]) {
          expect([name, ...kinds(`${name}_count`, "unit")]).toEqual([name, "s"])
        }
        expect(kinds("heartbeat_duration_count", "unit")).toEqual(["s"])
        expect(kinds("buffer_received_total", "unit")).toEqual(["By"])
        expect(yield* valueOf(`client_service_buffer_received_total${labels}`)).toBe(5)

        /** What is told of each metric where one chooses it, which are the words of the documentation. */
        const told = yield* Effect.promise(async () => {
          const answer = await fetch(`${server.url}/api/v1/metadata`)
          const { data }: { data: Record<string, ReadonlyArray<{ help: string }>> } = JSON.parse(await answer.text())
          return Object.entries(data).flatMap(([name, [metadata]]) =>
            name.startsWith("client_service_") ? [[name.replace(/_total$/, ""), metadata?.help]] : []
          )
        })
        const rows = readFileSync(documentation, "utf8").matchAll(/^\| `(client_service[^`]+)` *\|[^|]*\| (.*?) *\|$/gm)
        const documented = new Map(
          [...rows].map(([, name = "", text = ""]) => [name.replaceAll(".", "_"), text.replaceAll("`", "")])
        )
        expect(told.length).toBeGreaterThan(10)
        expect(told).toEqual(told.map(([name = ""]) => [name, documented.get(name)]))
        expect(yield* valueOf(`client_service_connection_create_time_sum${labels}`)).toBeLessThan(1)
      }),
    60_000
  )
})
