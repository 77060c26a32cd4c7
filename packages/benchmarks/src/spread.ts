/** The middle of some samples, and the quartiles on either side of it. */
export interface Spread {
  readonly median: number
  readonly lower: number
  readonly upper: number
}

export const spreadOf = (samples: ReadonlyArray<number>): Spread => {
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (quantile: number): number => {
    const position = quantile * (sorted.length - 1)
    const below = sorted[Math.floor(position)] ?? Number.NaN
    const above = sorted[Math.ceil(position)] ?? Number.NaN
    return below + (above - below) * (position - Math.floor(position))
  }
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) }
}
