import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Line, lineThrough } from "./line.js"

/** Something that is done very often, while what it could leave behind is looked at. */
export interface Soak {
  readonly name: string
  /** What is done, in the plural. */
  readonly operations: string
  readonly samples: Effect.Effect<ReadonlyArray<Sample>, never, Scope.Scope>
}

/** What there is after so many operations. */
export interface Sample {
  readonly operations: number
  /** Bytes, with all garbage collected. */
  readonly heap: number
  /** What has to be the same all along. */
  readonly constant: Readonly<Record<string, number>>
  /** What has to stay within a bound. */
  readonly bounded?: Readonly<
    Record<string, { readonly value: number; readonly atLeast?: number; readonly atMost?: number }>
  >
}

/** How something went on over all samples of a soak. */
export interface Figure {
  readonly soak: string
  readonly figure: string
  readonly unit: "B" | ""
  readonly first: number
  readonly last: number
  readonly operations: string
  /** By operation. */
  readonly line: Line
  readonly holds: boolean
}

// Three standard errors are seldom there by chance. But what V8 keeps of the code that runs grows too for a while, so what
// counts is a growth of at least the smallest thing that an operation could leave behind: an object without contents.
const errors = 3
const smallest = 16

export const figuresOf = (
  { name, operations }: Pick<Soak, "name" | "operations">,
  samples: ReadonlyArray<Sample>
): ReadonlyArray<Figure> => {
  const figure = (
    figure: string,
    unit: Figure["unit"],
    of: (sample: Sample) => number,
    holds: (line: Line, values: ReadonlyArray<number>) => boolean
  ): Figure => {
    const values = samples.map(of)
    const line = lineThrough(samples.map((sample) => [sample.operations, of(sample)]))
    return {
      soak: name,
      figure,
      unit,
      first: values[0] ?? Number.NaN,
      last: values.at(-1) ?? Number.NaN,
      operations,
      line,
      holds: holds(line, values)
    }
  }
  const [first] = samples
  return [
    figure(
      "heap",
      "B",
      ({ heap }) => heap,
      ({ error, slope }) => slope <= errors * error || slope < smallest
    ),
    ...Object.keys(first?.constant ?? {}).map((key) =>
      figure(
        key,
        "",
        ({ constant }) => constant[key] ?? Number.NaN,
        (_, values) => values.every((value) => value === values[0])
      )
    ),
    ...Object.entries(first?.bounded ?? {}).map(([key, { atLeast, atMost }]) =>
      figure(
        `${key} (at ${atMost === undefined ? `least ${atLeast}` : `most ${atMost}`})`,
        "",
        ({ bounded }) => bounded?.[key]?.value ?? Number.NaN,
        (_, values) => values.every((value) => value >= (atLeast ?? 0) && value <= (atMost ?? Number.POSITIVE_INFINITY))
      )
    )
  ]
}
