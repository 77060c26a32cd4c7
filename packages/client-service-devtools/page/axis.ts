/**
 * The part of time that is in sight.
 */
export interface Span {
  readonly from: number
  readonly to: number
}

/** How much of the axis is the future, where the next attempts are. */
const future = 0.06

/** The last so many milliseconds, with a little of the future. */
export const upTo = (now: number, length: number): Span => {
  const to = now + length * future
  return { from: to - length, to }
}

export const lengthOf = ({ from, to }: Span): number => to - from

export const xOf = (span: Span, width: number, at: number): number => ((at - span.from) / lengthOf(span)) * width

export const timeOf = (span: Span, width: number, x: number): number => span.from + (x / width) * lengthOf(span)

export const panned = ({ from, to }: Span, by: number): Span => ({ from: from + by, to: to + by })

const shortest = 5_000
const longest = 6 * 3_600_000

/** Made so many times longer, with one moment where it is. */
export const zoomed = (span: Span, factor: number, around: number): Span => {
  const length = Math.min(Math.max(lengthOf(span) * factor, shortest), longest)
  const from = around - ((around - span.from) / lengthOf(span)) * length
  return { from, to: from + length }
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const steps = [second, minute]
  .flatMap((unit) => [1, 2, 5, 10, 15, 30].map((n) => n * unit))
  .concat([hour, 2 * hour, 3 * hour])

export interface Tick {
  readonly at: number
  readonly label: string
}

/** Round moments that are in sight, far enough from each other. `offset` is what the local time is ahead, in milliseconds. */
export const ticks = (span: Span, width: number, offset: number): ReadonlyArray<Tick> => {
  const most = Math.max(1, Math.floor(width / 76))
  const step = steps.find((step) => lengthOf(span) / step <= most) ?? 6 * hour
  const first = Math.ceil((span.from + offset) / step) * step - offset
  const found: Array<Tick> = []
  for (let at = first; at <= span.to; at += step) found.push({ at, label: clockOf(at + offset, step < minute) })
  return found
}

const clockOf = (local: number, hasSeconds: boolean): string =>
  new Date(local).toISOString().slice(11, hasSeconds ? 19 : 16)
