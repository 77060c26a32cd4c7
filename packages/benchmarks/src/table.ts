import { columns } from "./grid.js"
import type { Result, Row } from "./row.js"
import type { Spread } from "./spread.js"

/** One table of sections, each with its rows. */
export const table = (sections: ReadonlyArray<readonly [title: string, results: ReadonlyArray<Result>]>): string => {
  const head = ["", "against", "measured", "against", "ratio (quartiles)", "reach", "holds"]
  const lines = sections.flatMap(([title, results]) => [[title], ...results.map(cells)])
  return columns(head, lines)
}

/** What came of a row, in short. */
export const outcome = ({ measured, ratio, unit }: Result): string =>
  ratio === undefined ? quartiles(measured, (value) => amount(value, unit)) : ratioOf(ratio)

const cells = (result: Result): ReadonlyArray<string> => {
  const { against, floor, holds, measured, name, reach, unit } = result
  return [
    `  ${name}`,
    against,
    amount(measured.median, unit),
    floor === undefined ? "" : amount(floor.median, unit),
    outcome(result),
    reach === undefined ? "" : "ratio" in reach ? String(reach.ratio) : amount(reach.amount, unit),
    holds === undefined ? "" : holds ? "yes" : "NO"
  ]
}

const ratioOf = (ratio: Spread): string => `${number(ratio.median)} ${quartiles(ratio, number)}`

const quartiles = ({ lower, upper }: Spread, text: (value: number) => string): string =>
  `(${text(lower)} to ${text(upper)})`

const amount = (value: number, unit: Row["unit"]): string => {
  const [scale, name] = scaleOf(value, unit)
  return `${number(value / scale)} ${name}`
}

const scaleOf = (value: number, unit: Row["unit"]): readonly [scale: number, name: string] => {
  if (unit === "B") return [1024, "KiB"]
  if (value >= 1000) return [1000, "s"]
  if (value >= 1) return [1, "ms"]
  return value >= 0.001 ? [0.001, "us"] : [0.000001, "ns"]
}

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))
