/** The straight line that comes closest to some points, by least squares. */
export interface Line {
  readonly slope: number
  /** The standard error of the slope. */
  readonly error: number
}

export const lineThrough = (points: ReadonlyArray<readonly [x: number, y: number]>): Line => {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const meanX = mean(([x]) => x)
  const meanY = mean(([, y]) => y)
  const spread = mean(([x]) => (x - meanX) ** 2)
  const slope = mean(([x, y]) => (x - meanX) * (y - meanY)) / spread
  const residue = mean(([x, y]) => (y - meanY - slope * (x - meanX)) ** 2)
  return { slope, error: Math.sqrt(residue / spread / (points.length - 2)) }
}
