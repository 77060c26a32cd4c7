/**
 * Why a server could not be connected to, a connection or a channel was lost, or a message was not taken.
 *
 * @since 0.1.0
 */
import { IllegalOperationError } from "amqplib"
import * as Data from "effect/Data"

/**
 * The kinds of failures.
 *
 * - `Authentication`: the server does not take the credentials, or they could not be had.
 * - `NotAllowed`: the server has no such virtual host, or not for this user.
 * - `Refused`: nothing listens there.
 * - `Unreachable`: no connection could be made for another reason, such as a name that has no address, no route or a TLS
 *   handshake that failed.
 * - `ConnectionClosed`: the connection is lost, or the server has closed it.
 * - `ChannelClosed`: the channel is closed, while its connection may be up.
 * - `Rejected`: the server refused what was asked on a channel, and has closed the channel for it.
 * - `Cancelled`: the server has ended a consumer, such as when its queue was deleted.
 * - `Unconfirmed`: a message was sent and the channel lost before the server confirmed it. It may have it, or may not.
 * - `Nacked`: the server could not take responsibility for a message.
 * - `Unroutable`: a message that is `mandatory` matched no queue. Nobody has it.
 * - `Other`: the client did not take what was asked, such as a header that it can't encode.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | "Authentication"
  | "NotAllowed"
  | "Refused"
  | "Unreachable"
  | "ConnectionClosed"
  | "ChannelClosed"
  | "Rejected"
  | "Cancelled"
  | "Unconfirmed"
  | "Nacked"
  | "Unroutable"
  | "Other"

/**
 * A server could not be connected to, a connection or a channel was lost, or a message was not taken. It never has the
 * password.
 *
 * @since 0.1.0
 * @category errors
 */
export class AmqpError extends Data.TaggedError("AmqpError")<{
  readonly reason: Reason
  /** The name of the endpoint. */
  readonly endpoint: string
  /** The reply code of the server, such as 404, or the code of Node.js, such as `ECONNREFUSED`. */
  readonly code?: number | string | undefined
  /** What the server, the client or Node.js says. */
  readonly detail?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const detail = this.detail === undefined || this.detail === "" ? "" : `: ${this.detail}`
    return `${this.endpoint}: ${meanings[this.reason]}${detail}`
  }

  // The cause may have the certificate of the server, which has itself as its issuer and is no JSON.
  override toJSON(): unknown {
    const { _tag, code, detail, endpoint, message, reason } = this
    return { _tag, reason, endpoint, code, detail, message }
  }
}

/**
 * Makes an `AmqpError` of what connecting with `amqplib` failed with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConnectError = (error: unknown, endpoint: string): AmqpError => {
  const detail = detailOf(error)
  // The client tells of a server that ends the handshake by the text alone.
  const reply = /^Handshake terminated by server: (\d+)/.exec(detail)?.[1]
  if (reply !== undefined) {
    const code = Number(reply)
    return new AmqpError({
      reason: code === 403 ? "Authentication" : "NotAllowed",
      endpoint,
      code,
      detail,
      cause: error
    })
  }
  if (detail.startsWith("Expected ConnectionOpenOk; got <ConnectionClose"))
    return new AmqpError({ reason: "NotAllowed", endpoint, cause: error })
  const code = codeOf(error)
  const reason = code === undefined ? "ConnectionClosed" : (reasonsOfCodes.get(code) ?? "Unreachable")
  return new AmqpError({ reason, endpoint, code, detail, cause: error })
}

/**
 * Makes an `AmqpError` of what a call on a channel of `amqplib` failed with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromChannelError = (error: unknown, endpoint: string): AmqpError => {
  const code = codeOf(error)
  return new AmqpError({ reason: reasonOnChannel(error, code), endpoint, code, detail: detailOf(error), cause: error })
}

/**
 * Whether trying again is of no use: the server does not take the credentials, or has no such virtual host for them.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "effect-client-service"
 * import { AmqpError } from "effect-client-service-amqp"
 *
 * const policy = RetryPolicy.fullJitter().pipe(RetryPolicy.whileError((error) => !AmqpError.isFatal(error)))
 * ```
 *
 * @since 0.1.0
 * @category classification
 */
export const isFatal = (error: unknown): boolean =>
  error instanceof AmqpError && (error.reason === "Authentication" || error.reason === "NotAllowed")

const meanings: Record<Reason, string> = {
  Authentication: "the server does not accept these credentials",
  NotAllowed: "the server does not open this virtual host",
  Refused: "nothing accepts connections there; is the server running, and is this its address?",
  Unreachable: "no connection could be made",
  ConnectionClosed: "the connection was lost",
  ChannelClosed: "the channel is closed",
  Rejected: "the server refused what was asked",
  Cancelled: "the server has ended the consumer",
  Unconfirmed: "the message was sent and not confirmed",
  Nacked: "the server could not take the message",
  Unroutable: "the message matched no queue",
  Other: "the client did not take what was asked"
}

const reasonsOfCodes: ReadonlyMap<number | string, Reason> = new Map([
  ["ECONNREFUSED", "Refused"],
  ["ECONNRESET", "ConnectionClosed"],
  ["EPIPE", "ConnectionClosed"],
  ["ABORT_ERR", "ConnectionClosed"]
])

const reasonOnChannel = (error: unknown, code: number | string | undefined): Reason => {
  if (typeof code === "number") return "Rejected"
  if (error instanceof IllegalOperationError) return "ChannelClosed"
  return detailOf(error).startsWith("Channel ended") ? "ChannelClosed" : "Other"
}

const detailOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const codeOf = (error: unknown): number | string | undefined => {
  if (!(error instanceof Error && "code" in error)) return undefined
  return typeof error.code === "number" || typeof error.code === "string" ? error.code : undefined
}
