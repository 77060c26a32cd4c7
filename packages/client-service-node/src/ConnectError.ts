/**
 * Why a socket could not be connected, or was lost.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The kinds of failures of a socket.
 *
 * - `Refused`: nothing listens there; of a Unix socket also, nothing is there.
 * - `Dns`: the host's name could not be looked up.
 * - `TimedOut`: the peer did not answer.
 * - `Unreachable`: there is no way to the peer from here.
 * - `Tls`: the handshake failed, or a certificate was not accepted.
 * - `Reset`: the peer broke the connection off.
 * - `Permission`: this process may not connect there.
 * - `Other`: anything else; `code` and `cause` tell more.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "Refused" | "Dns" | "TimedOut" | "Unreachable" | "Tls" | "Reset" | "Permission" | "Other"

/**
 * A socket could not be connected, or was lost by an error after it was connected.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectError extends Data.TaggedError("ConnectError")<{
  readonly reason: Reason
  /** What was tried, such as `127.0.0.1:6379` or the path of a Unix socket. */
  readonly address: string
  /** The error code of Node.js, such as `ECONNREFUSED`, if there is one. */
  readonly code?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const code = this.code === undefined ? "" : ` (${this.code})`
    const detail = isTelling(this.reason) && this.cause instanceof Error ? `: ${this.cause.message}` : ""
    return `${this.address}: ${meanings[this.reason]}${code}${detail}`
  }
}

/**
 * Makes a `ConnectError` of what a socket of Node.js failed with.
 *
 * Of the errors of several addresses that were tried, it takes the one that tells most: any but `Unreachable`, since a
 * host without IPv6 cannot reach any IPv6 address.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNodeError = (error: unknown, address: string): ConnectError => {
  const cause = mostTelling(error)
  const code = codeOf(cause) ?? codeOf(error)
  return new ConnectError({ reason: reasonOf(code), address, code, cause })
}

/**
 * The kind of failure that an error code of Node.js stands for.
 *
 * @since 0.1.0
 * @category classification
 */
export const reasonOf = (code: string | undefined): Reason => {
  if (code === undefined) return "Other"
  const reason = reasons.get(code)
  if (reason !== undefined) return reason
  return tlsCode.test(code) ? "Tls" : dnsCode.test(code) ? "Dns" : "Other"
}

const meanings: Record<Reason, string> = {
  Refused: "nothing accepts connections there; is the server running, and is this its address?",
  Dns: "the name of the host could not be looked up; is it spelled right, and is there a network?",
  TimedOut: "no answer; is the host up, and does a firewall drop the packets?",
  Unreachable: "there is no route to it; is the network up?",
  Tls: "the TLS handshake failed",
  Reset: "the peer broke the connection off",
  Permission: "this process is not permitted to connect there",
  Other: "the connection failed"
}

// The meaning of the others is told by their code.
const isTelling = (reason: Reason): boolean => reason === "Tls" || reason === "Other"

const reasons: ReadonlyMap<string, Reason> = new Map([
  ["ECONNREFUSED", "Refused"],
  // Of a Unix socket: no such path, or a server that has too many connections waiting.
  ["ENOENT", "Refused"],
  ["EAGAIN", "Refused"],
  ["ENOTFOUND", "Dns"],
  ["ENODATA", "Dns"],
  ["ESERVFAIL", "Dns"],
  ["ETIMEDOUT", "TimedOut"],
  ["ERR_SOCKET_CONNECTION_TIMEOUT", "TimedOut"],
  ["EHOSTUNREACH", "Unreachable"],
  ["EHOSTDOWN", "Unreachable"],
  ["ENETUNREACH", "Unreachable"],
  ["ENETDOWN", "Unreachable"],
  ["EADDRNOTAVAIL", "Unreachable"],
  ["ECONNRESET", "Reset"],
  ["ECONNABORTED", "Reset"],
  ["EPIPE", "Reset"],
  ["EACCES", "Permission"],
  ["EPERM", "Permission"],
  // What a peer that does not speak TLS causes.
  ["EPROTO", "Tls"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "Tls"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "Tls"],
  ["HOSTNAME_MISMATCH", "Tls"],
  ["INVALID_CA", "Tls"],
  ["INVALID_PURPOSE", "Tls"],
  ["PATH_LENGTH_EXCEEDED", "Tls"]
])

const tlsCode = /^(ERR_(TLS|SSL|OSSL)_|CERT_|CRL_|UNABLE_TO_|ERROR_IN_CERT_)/

const dnsCode = /^EAI_/

const mostTelling = (error: unknown): unknown => {
  if (!(error instanceof AggregateError)) return error
  const errors: ReadonlyArray<unknown> = error.errors
  return errors.find((error) => reasonOf(codeOf(error)) !== "Unreachable") ?? errors[0] ?? error
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined
