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

const typeOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  const tag = Predicate.hasProperty(error, "_tag") ? error._tag : Predicate.hasProperty(error, "name") && error.name
  if (typeof tag !== "string" || !/^[\w.$/@-]{1,80}$/.test(tag)) return other
  const reason = Predicate.hasProperty(error, "reason") ? error.reason : undefined
  // Of those that are words of a type, and no text.
  return typeof reason === "string" && /^[A-Z][A-Za-z]{1,30}$/.test(reason) ? `${tag}.${reason}` : tag
}
