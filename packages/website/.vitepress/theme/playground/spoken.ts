/** A time as people say it. */
export const spoken = (millis: number): string => {
  if (millis < 1000) return `${Math.round(millis)} ms`
  if (millis < 60_000) return `${round(millis / 1000)} s`
  if (millis < 3_600_000) return `${round(millis / 60_000)} min`
  return `${round(millis / 3_600_000)} h`
}

const round = (number: number): number => Math.round(number * 100) / 100
