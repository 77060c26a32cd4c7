import { Effect, Layer, type Metric, MetricLabel } from "effect"
import { Telemetry } from "effect-client-service"
import { openConnections, status, uses, waiters } from "../../src/internal/telemetry/metrics.js"
import { type StateTag, stateTags } from "../support/fixture.js"

const label = MetricLabel.make("test", "properties")

// Built already, since to build a Layer takes several steps.
const telemetry = Effect.runSync(Effect.scoped(Layer.build(Telemetry.layer)))

/** Has a service counted by the metrics that are read here. */
export const measured = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tagMetrics(Effect.provide(effect, telemetry), label.key, label.value)

const reader = (
  counter: Metric.Metric.Counter<number>,
  ...labels: ReadonlyArray<MetricLabel.MetricLabel>
): (() => number) => {
  const all = [label, ...labels]
  return () => counter.unsafeValue(all).count
}

const readers = {
  open: reader(openConnections),
  uses: reader(uses),
  waiters: reader(waiters)
}

const statuses = stateTags.map((tag) => [tag, reader(status, MetricLabel.make("state", tag.toLowerCase()))] as const)

/** What the gauges have to say. */
export type Gauges = Readonly<Record<keyof typeof readers, number>>

/** What the gauges say of one service, since the metrics are those of all that were before. */
export class GaugeReader {
  private readonly before = new Map(
    [...Object.values(readers), ...statuses.map(([, read]) => read)].map((read) => [read, read()])
  )

  /** Tells what is wrong with the states that the service is in. */
  checkStatus(expected: StateTag | undefined): ReadonlyArray<string> {
    return statuses.flatMap(([tag, read]) => {
      const value = this.read(read)
      return value === (tag === expected ? 1 : 0) ? [] : [`the status of ${tag} is ${value} while ${expected}`]
    })
  }

  check(expected: Gauges): ReadonlyArray<string> {
    const actual = { open: this.read(readers.open), uses: this.read(readers.uses), waiters: this.read(readers.waiters) }
    const isRight =
      actual.open === expected.open && actual.uses === expected.uses && actual.waiters === expected.waiters
    return isRight ? [] : [`the gauges are ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`]
  }

  private read(read: () => number): number {
    return read() - (this.before.get(read) ?? 0)
  }
}
