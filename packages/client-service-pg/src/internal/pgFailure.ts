import * as Credential from "effect-client-service-driver/Credential"
import { fromNodeError, reasonOf } from "effect-client-service-node/ConnectError"
import { DatabaseError } from "pg"
import { PgError, type Reason } from "../PgError.js"

/** The password could not be had, for this cause. */
export class PasswordFailure extends Error {}

/** Makes a `PgError` of whatever `pg` failed with. */
export const pgFailure = (cause: unknown, endpoint: string): PgError => {
  if (cause instanceof PgError) return cause
  if (cause instanceof PasswordFailure) {
    return new PgError({ reason: "Credentials", endpoint, detail: Credential.nameOf(cause.cause), cause: cause.cause })
  }
  const detail = detailOf(cause)
  if (cause instanceof DatabaseError) {
    // A function, or another server behind this one, may give a statement any code that there is.
    const reason = cause.severity === "ERROR" ? "Query" : ofSqlState(cause.code ?? "")
    return new PgError({ reason, endpoint, code: cause.code, detail, cause })
  }
  const { code } = fromNodeError(cause, endpoint)
  const reason = code === undefined ? ofMessage(cause instanceof Error ? cause.message : "") : reasonOf(code)
  return new PgError({ reason, endpoint, code, detail, cause })
}

/** What a cause says, if it is an error. */
export const detailOf = (cause: unknown): string | undefined => (cause instanceof Error ? cause.message : undefined)

const ofSqlState = (state: string): Reason => {
  const reason = states.get(state)
  if (reason !== undefined) return reason
  return state.startsWith("28") ? "Authentication" : "Query"
}

const states: ReadonlyMap<string, Reason> = new Map([
  ["3D000", "NoDatabase"],
  ["53300", "Unavailable"],
  ["57P03", "Unavailable"],
  ["57P01", "Terminated"],
  ["57P02", "Terminated"],
  ["57P04", "Terminated"],
  ["57P05", "Terminated"],
  ["25P03", "Terminated"],
  ["25P04", "Terminated"]
])

// What `pg` itself says has no code.
const ofMessage = (message: string): Reason => messages.find(([pattern]) => pattern.test(message))?.[1] ?? "Other"

const messages: ReadonlyArray<readonly [RegExp, Reason]> = [
  [/^Connection terminated|not queryable/, "Reset"],
  [/^SASL|^Password must be/, "Authentication"],
  [/\bSSL\b/, "Tls"],
  [/^(timeout expired|Query read timeout)/, "TimedOut"]
]
