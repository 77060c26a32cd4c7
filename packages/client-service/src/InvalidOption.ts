/**
 * Options that make no sense, refused as soon as they are given.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Inspectable from "effect/Inspectable"

/**
 * Thrown by a function, when it is called, if one of its options makes no sense. It is a mistake in the program, so
 * it is thrown and is not part of any error channel.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOption extends Data.TaggedError("InvalidOption")<{
  /** The function that was called, such as `"RetryPolicy.backoff"`. */
  readonly where: string
  /** The name of the option, such as `"maxDelay"`. */
  readonly option: string
  /** What was given. */
  readonly value: unknown
  /** What the option takes, such as `"a finite duration, zero or more"`. */
  readonly expected: string
}> {
  override get message(): string {
    return `${this.where}: ${this.option} must be ${this.expected}, got ${print(this.value)}`
  }
}

const print = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(print).join(", ")}]`
  if (Duration.isDuration(value)) return Duration.format(value)
  return typeof value === "object" ? Inspectable.toStringUnknown(value, 0) : String(value)
}
