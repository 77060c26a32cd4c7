/**
 * Durations, as they are written on the command line.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

export const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/.exec(text) ?? []
  const millis = units[unit]
  return amount === undefined || millis === undefined
    ? Option.none()
    : Option.some(Duration.millis(Number(amount) * millis))
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
