import * as Cause from "effect/Cause"

/** The first line of a cause, for a message. */
export const firstLine = (cause: Cause.Cause<unknown>): string => Cause.pretty(cause).split("\n", 1)[0] ?? ""
