/**
 * What the errors of all drivers have in common.
 *
 * @since 0.1.0
 */

/**
 * The fields of an error, as those of `Data.TaggedError`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fields<Reason extends string, Code extends string | number = string> {
  readonly reason: Reason
  /** The name of the endpoint. */
  readonly endpoint: string
  /** What the server calls it, or Node.js, such as `ECONNREFUSED`. */
  readonly code?: Code | undefined
  /** What the server, the client or Node.js says. */
  readonly detail?: string | undefined
  readonly cause?: unknown
  /** Whether an Effect gives the password, or the options of TLS, which the next attempt runs again. */
  readonly isAskedAgain?: boolean | undefined
}

/**
 * The message of an error: where it was, what its reason means, and what is said about it.
 *
 * @since 0.1.0
 * @category getters
 */
export const messageOf = (
  { code, detail = "", endpoint }: Fields<string, string | number>,
  meaning: string
): string => {
  const told = code === undefined || detail.includes(String(code)) ? "" : ` (${code})`
  return `${endpoint}: ${meaning}${told}${detail === "" ? "" : `: ${detail}`}`
}

/**
 * What an error is as JSON: all but its cause, which may have the certificate of the server, which has itself as its issuer and
 * is no JSON, and what a client was asked, which may be secret.
 *
 * @since 0.1.0
 * @category getters
 */
export const toJSON = ({
  _tag,
  code,
  detail,
  endpoint,
  message,
  reason
}: Fields<string, string | number> & { readonly _tag: string; readonly message: string }): unknown => ({
  _tag,
  reason,
  endpoint,
  code,
  detail,
  message
})
