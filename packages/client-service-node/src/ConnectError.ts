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
 * - `Dns`: the host's name could not be looked up, or not in time (`ETIMEOUT`).
 * - `TimedOut`: the peer did not answer.
 * - `Unreachable`: there is no way to the peer from here.
 * - `Tls`: the handshake failed, or a certificate was not accepted.
 * - `Reset`: the peer broke the connection off, or ended it without the end of TLS.
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
  /**
   * What was tried, such as `db.example.com:5432` or the path of a Unix socket; of the loss of a connection to a name, the
   * address that it was connected to.
   */
  readonly address: string
  /** The error code of Node.js, such as `ECONNREFUSED`, if there is one. */
  readonly code?: string | undefined
  /** The error of Node.js, or an `AggregateError` of the `ConnectError`s of all addresses of a name. */
  readonly cause?: unknown
}> {
  override get message(): string {
    const code = this.code === undefined ? "" : ` (${this.code})`
    return `${this.address}: ${meanings[this.reason]}${code}${detailOf(this)}`
  }

  // The cause may have the certificate of the peer, which has itself as its issuer and is no JSON.
  override toJSON(): unknown {
    const { _tag, address, code, message, reason } = this
    return { _tag, reason, address, code, message }
  }
}

/**
 * Makes a `ConnectError` of what a socket of Node.js failed with.
 *
 * Of an `AggregateError`, the errors of several addresses that were tried, the reason and the code are those of the one
 * that tells most: of the attempt that got farthest, since a host without IPv6 cannot reach any IPv6 address. The message
 * tells them all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNodeError = (error: unknown, address: string): ConnectError => {
  const code = codeOf(mostTelling(error))
  return new ConnectError({ reason: reasonOf(code), address, code, cause: error })
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

const detailOf = (error: ConnectError): string => {
  const { cause } = error
  if (cause instanceof AggregateError) return `: ${cause.errors.map(inShort).join(", ")}`
  return isTelling(error) && cause instanceof Error ? `: ${cause.message.trim()}` : ""
}

const inShort = (error: unknown): string => {
  if (!(error instanceof ConnectError)) return error instanceof Error ? error.message.trim() : String(error)
  const { address, cause, code, reason } = error
  return `${address} (${isTelling(error) && cause instanceof Error ? cause.message.trim() : (code ?? reason)})`
}

// The meaning of the others is told by their code.
const isTelling = ({ code, reason }: ConnectError): boolean =>
  reason === "Tls" || reason === "Other" || code === "ETIMEOUT"

// How far an attempt got, the farthest first.
const distances: ReadonlyArray<Reason> = [
  "Tls",
  "Reset",
  "Permission",
  "Other",
  "Dns",
  "Refused",
  "TimedOut",
  "Unreachable"
]

const reasons: ReadonlyMap<string, Reason> = new Map([
  ["ECONNREFUSED", "Refused"],
  // Of a Unix socket: no such path, or a server that has too many connections waiting.
  ["ENOENT", "Refused"],
  ["ENOTDIR", "Refused"],
  ["EAGAIN", "Refused"],
  ["ENOTFOUND", "Dns"],
  ["ENODATA", "Dns"],
  ["ESERVFAIL", "Dns"],
  // A look-up that has not ended, other than the connection of ETIMEDOUT.
  ["ETIMEOUT", "Dns"],
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
  // The end of a connection without that of TLS.
  ["ERR_SSL_UNEXPECTED_EOF_WHILE_READING", "Reset"],
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
  const distance = (error: unknown) => distances.indexOf(reasonOf(codeOf(error)))
  return [...errors].sort((a, b) => distance(a) - distance(b))[0] ?? error
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined
