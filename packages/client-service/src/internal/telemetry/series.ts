import * as MetricLabel from "effect/MetricLabel"
import type { Attributes } from "./attributes.js"

export type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** How many services are told apart. Those that come later are counted together. */
const most = 1000

/** What those are counted by. */
const overflow: Attributes = { "otel.metric.overflow": "true" }

/** How many errors of a service are told apart, for each way in which something fails. */
const mostErrors = 49

/** What OpenTelemetry has for those that are not. */
export const other = "_OTHER"

/**
 * The labels of a service, and those with one or two more. Metrics are for ever, and Effect finds them by the identity of
 * their labels: so services with the same labels share these.
 */
export class Series {
  static readonly #all = new Map<string, Series>()

  readonly labels: Labels
  /** For what is measured in seconds. Effect has the unit of a metric among its labels. */
  readonly seconds: Labels
  readonly #states = new Map<string, Labels>()
  // By the value, which tells what it is the value of, and then by the error.
  readonly #others = new Map<string, Map<string | undefined, Labels>>()

  private constructor(labels: Labels) {
    this.labels = labels
    this.seconds = [...labels, MetricLabel.make("unit", "s")]
  }

  /** Those of the labels that the caller's metrics have, and the attributes of a service. */
  static of(callers: Labels, attributes: Attributes): Series {
    const own = Object.entries(attributes).flatMap(([key, value]) =>
      value === undefined ? [] : [MetricLabel.make(key, `${value}`)]
    )
    const labels = [...callers, ...own]
    const key = JSON.stringify(labels.map(({ key, value }) => [key, value]))
    const known = Series.#all.get(key)
    if (known !== undefined) return known
    const isTooMany = own.length > 0 && attributes !== overflow && Series.#all.size >= most
    if (isTooMany) return Series.of(callers, overflow)
    const series = new Series(labels)
    Series.#all.set(key, series)
    return series
  }

  /** Those of a state. */
  inState(tag: string): Labels {
    return this.#states.get(tag) ?? this.#add(this.#states, tag, "state", tag.toLowerCase())
  }

  /** Those with one more label, and with the type of an error. */
  with(key: string, value: string, error?: string): Labels {
    const known = this.#others.get(value)?.get(error)
    if (known !== undefined) return known
    const errors = this.#others.get(value) ?? new Map<string | undefined, Labels>()
    this.#others.set(value, errors)
    const isOver = error !== undefined && error !== other && errors.size > mostErrors
    return isOver ? this.with(key, value, other) : this.#add(errors, error, key, value, error)
  }

  #add<K>(to: Map<K, Labels>, id: K, key: string, value: string, error?: string): Labels {
    const labels = [...this.labels, MetricLabel.make(key, value)]
    if (error !== undefined) labels.push(MetricLabel.make("error.type", error))
    to.set(id, labels)
    return labels
  }
}
