import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"

/**
 * The class of what something failed with, such as `ConnectTimeout` or `ConnectError.Refused`: of few values, and none of
 * the words of an error, which may hold a secret.
 */
export const errorTypeOf = (cause: Cause.Cause<unknown>): string => {
  try {
    return typeOf(cause)
  } catch {
    // An error may throw when it is looked at, and who tells of a state must not.
    return other
  }
}

const other = "_OTHER"

/** What is no error may have a name too, such as that of a user: only its class is told. */
const classOf = (error: unknown): unknown => {
  if (!Predicate.isRecord(error)) return undefined
  const isError =
    error instanceof Error || /^\[object (?:Error|DOMException)\]$/.test(Object.prototype.toString.call(error))
  // What a class that sets no name of its own has.
  if (isError && error["name"] !== "Error") return error["name"]
  const made: unknown = Object.getPrototypeOf(error)?.constructor
  return typeof made === "function" && made !== Object ? made.name : undefined
}

const typeOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  const tag = Predicate.hasProperty(error, "_tag") ? error._tag : classOf(error)
  // An address of mail, and what begins with a digit, is the name of somebody or something, and of no class.
  if (typeof tag !== "string" || !/^@?[A-Za-z_$][\w.$/-]{0,79}$/.test(tag)) return other
  const reason = Predicate.hasProperty(error, "reason") ? error.reason : undefined
  // Of those that are words of a type, and no text.
  return typeof reason === "string" && /^[A-Z][A-Za-z]{1,30}$/.test(reason) ? `${tag}.${reason}` : tag
}
