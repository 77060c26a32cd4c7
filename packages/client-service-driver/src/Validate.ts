/**
 * Validators of options, for functions that refuse what makes no sense as soon as they are called: each gives back what it
 * is given, or throws an `InvalidOption` that tells who refused what, and what would do.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { InvalidOption } from "effect-client-service/InvalidOption"

/**
 * Throws an `InvalidOption`.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const refuse = (where: string, option: string, value: unknown, expected: string): never => {
  throw new InvalidOption({ where, option, value, expected })
}

/**
 * Returns `value` if it is an integer from `min` to `max`, which is unbounded by default.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const integer = (
  where: string,
  option: string,
  value: number,
  min: number,
  max = Number.POSITIVE_INFINITY
): number => {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  const expected =
    max === Number.POSITIVE_INFINITY ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`
  return refuse(where, option, value, expected)
}

/**
 * Returns `value` if it is text that is not blank.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const text = (where: string, option: string, value: string): string => {
  if (typeof value === "string" && value.trim() !== "") return value
  return refuse(where, option, value, "a text that is not empty")
}

/**
 * Returns `value` as a `Duration` if it is one of zero or more. `Duration.decode` alone takes `NaN` and a negative
 * duration for zero.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const duration = (where: string, option: string, value: Duration.DurationInput | string): Duration.Duration => {
  if (isNonNegative(value)) {
    const decoded = Duration.decodeUnknown(value)
    if (decoded._tag === "Some") return decoded.value
  }
  return refuse(where, option, value, "a duration of zero or more")
}

/**
 * Like `duration`, but refuses an infinite one too.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const finiteDuration = (
  where: string,
  option: string,
  value: Duration.DurationInput | string
): Duration.Duration => {
  const decoded = duration(where, option, value)
  if (Duration.isFinite(decoded)) return decoded
  return refuse(where, option, value, "a finite duration of zero or more")
}

/**
 * Like `duration`, but refuses one of zero too.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const positiveDuration = (
  where: string,
  option: string,
  value: Duration.DurationInput | string
): Duration.Duration => {
  const decoded = duration(where, option, value)
  if (Duration.greaterThan(decoded, 0)) return decoded
  return refuse(where, option, value, "a duration of more than zero")
}

/**
 * Returns `value` if it is a function.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const callback = <F>(where: string, option: string, value: F): F =>
  typeof value === "function" ? value : refuse(where, option, value, "a function")

/**
 * Returns `value` if it is true or false.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const boolean = (where: string, option: string, value: boolean): boolean =>
  typeof value === "boolean" ? value : refuse(where, option, value, "true or false")

/**
 * Returns `value` if it is an object, such as one of options, and no array. Text in its place, such as a URL, may hold a
 * secret, and is not shown.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const object = <A>(where: string, option: string, value: A): A => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value
  const isPlain = value === null || typeof value === "number" || typeof value === "boolean" || value === undefined
  return refuse(where, option, isPlain ? value : "(not shown)", "an object")
}

const isNonNegative = (value: Duration.DurationInput | string): boolean => {
  if (typeof value === "number" || typeof value === "bigint") return value >= 0
  if (typeof value === "string") return !value.startsWith("-")
  if (Array.isArray(value)) return value.every((part) => typeof part === "number" && part >= 0)
  return Duration.isDuration(value)
}
