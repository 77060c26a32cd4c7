import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"

/**
 * The message of an error of a service: what has happened, and for what reason. A reason that says again which service it
 * is, or what has happened, since it is such an error itself, is told without that.
 */
export const messageOf = (service: string, what: string, reason: string | undefined): string => {
  const prefix = `${service}: `
  if (reason === undefined) return prefix + what
  const at = reason.indexOf(prefix)
  const isOwn = at >= 0 && /^(\w+: )?$/.test(reason.slice(0, at))
  const rest = isOwn ? reason.slice(at + prefix.length) : reason
  return prefix + (`${rest}: `.startsWith(`${what}: `) ? rest : `${what}: ${rest}`)
}

/** The first line about the most telling error of a cause. Of what is neither an Error nor text, which may hold a secret, the tag. */
export const reasonOf = (cause: Cause.Cause<unknown>): string | undefined => {
  if (Cause.isInterruptedOnly(cause)) return "interrupted"
  const error = Cause.squash(cause)
  if (error instanceof Error) return firstLine(String(error)).replace(/^Error: /, "")
  if (typeof error === "string") return firstLine(error)
  return Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" ? error._tag : undefined
}

/** Which endpoint failed, and why. */
export const told = ({ cause, endpoint }: Failure): string => `${endpoint}: ${reasonOf(cause) ?? "failed"}`

interface Failure {
  readonly endpoint: string
  readonly cause: Cause.Cause<unknown>
}

/** How many failures, in words. */
export const inARow = (failures: number): string => (failures === 1 ? "1 failure" : `${failures} failures in a row`)

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? ""
