import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ServerMissing } from "./installed.js"
import { type Spread, spreadOf } from "./spread.js"

/** A line of the table: something measured, and what it is measured against in the same run. */
export interface Row {
  readonly name: string
  /** The floor, or the rival. */
  readonly against: string
  /** Samples are milliseconds or bytes. */
  readonly unit: "ms" | "B"
  /** What the row is to stay within, at most: a ratio, or an amount in the row's unit. */
  readonly reach?: { readonly ratio: number } | { readonly amount: number }
  /** Without the server that it needs, there are none. */
  readonly samples: Effect.Effect<Samples, ServerMissing, Scope.Scope>
}

/** What the rounds gave, in order. A row that is not measured against anything has no samples of that. */
export interface Samples {
  readonly subject: ReadonlyArray<number>
  readonly against: ReadonlyArray<number>
}

export interface Result extends Omit<Row, "samples"> {
  readonly measured: Spread
  readonly floor: Spread | undefined
  /** Of the subject to the floor of the same round. */
  readonly ratio: Spread | undefined
  readonly holds: boolean | undefined
}

export const resultOf = ({ samples: _, ...row }: Row, { against, subject }: Samples): Result => {
  const measured = spreadOf(subject)
  const ratio =
    against.length === 0 ? undefined : spreadOf(subject.map((value, round) => value / (against[round] ?? Number.NaN)))
  return {
    ...row,
    measured,
    floor: against.length === 0 ? undefined : spreadOf(against),
    ratio,
    holds: holds(row.reach, measured, ratio)
  }
}

const holds = (reach: Row["reach"], measured: Spread, ratio: Spread | undefined): boolean | undefined => {
  if (reach === undefined) return undefined
  return "amount" in reach ? measured.median <= reach.amount : ratio !== undefined && ratio.median <= reach.ratio
}
