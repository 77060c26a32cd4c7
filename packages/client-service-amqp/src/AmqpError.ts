/**
 * Why a server could not be connected to, a connection or a channel was lost, or a message was not taken.
 *
 * @since 0.1.0
 */
import { IllegalOperationError } from "amqplib"
import * as Data from "effect/Data"
import type { EndpointsFailed } from "effect-client-service/EndpointsFailed"
import * as DriverError from "effect-client-service-driver/DriverError"
import * as Refusal from "effect-client-service-driver/Refusal"
import { isPermanentReply } from "./internal/permanent.js"

/**
 * The kinds of failures.
 *
 * - `Authentication`: the server does not take the credentials, or no such mechanism.
 * - `Credentials`: they could not be had from where they are kept.
 * - `NotAllowed`: the server has no such virtual host, or not for this user.
 * - `NotReady`: the server opens no connection now, such as for a limit of connections or a virtual host that is down.
 * - `Refused`: nothing listens there.
 * - `Unreachable`: no connection could be made for another reason, such as a name that has no address, no route or a TLS
 *   handshake that failed.
 * - `ConnectionClosed`: the connection is lost, or the server has closed it.
 * - `ChannelClosed`: the channel is closed, while its connection may be up.
 * - `NoChannel`: the connection has as many channels as the server grants it.
 * - `Rejected`: the server refused what was asked, and has closed the channel, or the connection, for it.
 * - `Cancelled`: the server has ended a consumer, such as when its queue was deleted.
 * - `Blocked`: the server takes no messages now. This one was not sent.
 * - `Overloaded`: too many messages wait already. This one was not sent.
 * - `Unconfirmed`: a message was sent and the channel lost before the server confirmed it. It may have it, or may not.
 * - `Unanswered`: a call was sent and the channel for its answer lost. It may have been done, or may not.
 * - `Nacked`: the server could not take responsibility for a message.
 * - `Unroutable`: a message that is `mandatory` matched no queue. Nobody has it.
 * - `Invalid`: what was asked can't be said in the protocol, or is larger than the server takes, such as a header that does
 *   not fit a frame. Nothing was sent.
 * - `Other`: a function that was to use a channel has failed for a reason of its own.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | "Authentication"
  | "Credentials"
  | "NotAllowed"
  | "NotReady"
  | "Refused"
  | "Unreachable"
  | "ConnectionClosed"
  | "ChannelClosed"
  | "NoChannel"
  | "Rejected"
  | "Cancelled"
  | "Blocked"
  | "Overloaded"
  | "Unconfirmed"
  | "Unanswered"
  | "Nacked"
  | "Unroutable"
  | "Invalid"
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
  /** Whether an Effect gives the password, or the options of TLS, which the next attempt runs again. */
  readonly isAskedAgain?: boolean | undefined
}> {
  override get message(): string {
    return DriverError.messageOf(this, meanings[this.reason])
  }

  override toJSON(): unknown {
    return DriverError.toJSON(this)
  }
}

/**
 * Why an attempt to connect has failed, or a connection was lost: by an endpoint, or by each of several, as
 * `Endpoint.failover` and `Endpoint.happyEyeballs` tell it.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectFailure = AmqpError | EndpointsFailed<ConnectFailure>

/**
 * Makes an `AmqpError` of what connecting with `amqplib` failed with. `reply` is what the server said, where the client
 * does not tell it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConnectError = (
  error: unknown,
  endpoint: string,
  reply?: { readonly code: number; readonly text: string }
): AmqpError => {
  const detail = detailOf(error)
  // The client tells of a server that ends the handshake by the text alone, or not even that.
  const told = /^Handshake terminated by server: (\d+)/.exec(detail)?.[1]
  const code = reply?.code ?? (told === undefined ? codeOf(error) : Number(told))
  const text = reply?.text ?? detail
  return new AmqpError({ reason: reasonOfAttempt(detail, code, text), endpoint, code, detail: text, cause: error })
}

/**
 * Makes an `AmqpError` of what a call on a channel of `amqplib` failed with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromChannelError = (error: unknown, endpoint: string): AmqpError => {
  if (error instanceof AmqpError) return error
  const code = codeOf(error)
  return new AmqpError({ reason: reasonOnChannel(error, code), endpoint, code, detail: detailOf(error), cause: error })
}

/**
 * Whether trying again is of no use until somebody changes the configuration, here or at the server: the reason is
 * `Authentication` or `NotAllowed`. Not so where an Effect gives the password or TLS, since the next attempt asks it
 * again; and of several endpoints, only if it is so of each.
 *
 * @example
 * ```ts
 * import { Amqp, AmqpEndpoint, AmqpError } from "effect-client-service-amqp"
 *
 * const AmqpLive = Amqp.layer({
 *   endpoint: AmqpEndpoint.make({ host: "rabbitmq.example.com" }),
 *   retryPolicy: { while: (error) => !AmqpError.isFatal(error) }
 * })
 * ```
 *
 * @since 0.1.0
 * @category classification
 */
export const isFatal: (error: unknown) => boolean = Refusal.isFinal(
  (error) =>
    error instanceof AmqpError &&
    (error.reason === "Authentication" || error.reason === "NotAllowed") &&
    error.isAskedAgain !== true
)

const meanings: Record<Reason, string> = {
  Authentication: "the server does not accept these credentials",
  Credentials: "the credentials could not be had",
  NotAllowed: "the server does not open this virtual host",
  NotReady: "the server opens no connection now",
  Refused: "nothing accepts connections there; is the server running, and is this its address?",
  Unreachable: "no connection could be made",
  ConnectionClosed: "the connection was lost",
  ChannelClosed: "the channel is closed",
  NoChannel: "the connection has as many channels as the server grants",
  Rejected: "the server refused what was asked",
  Cancelled: "the server has ended the consumer",
  Blocked: "the server takes no messages now, and this one was not sent",
  Overloaded: "too many messages wait to be sent already",
  Unconfirmed: "the message was sent and not confirmed",
  Unanswered: "the call was sent and not answered",
  Nacked: "the server could not take the message",
  Unroutable: "the message matched no queue",
  Invalid: "what was asked can't be sent",
  Other: "it failed"
}

const reasonsOfCodes: ReadonlyMap<number | string | undefined, Reason> = new Map([
  ["ECONNREFUSED", "Refused"],
  ["ECONNRESET", "ConnectionClosed"],
  ["EPIPE", "ConnectionClosed"],
  ["ABORT_ERR", "ConnectionClosed"]
])

const reasonOfAttempt = (detail: string, code: number | string | undefined, text: string): Reason => {
  if (detail.startsWith("SASL mechanism")) return "Authentication"
  if (
    detail.startsWith("Handshake terminated") ||
    detail.startsWith("Expected ConnectionOpenOk; got <ConnectionClose")
  ) {
    if (!isPermanentReply(code, text)) return "NotReady"
    return code === 403 ? "Authentication" : "NotAllowed"
  }
  if (typeof code === "string") return reasonsOfCodes.get(code) ?? "Unreachable"
  return "ConnectionClosed"
}

const reasonOnChannel = (error: unknown, code: number | string | undefined): Reason => {
  if (typeof code === "number") return "Rejected"
  if (error instanceof IllegalOperationError) return "ChannelClosed"
  const detail = detailOf(error)
  if (detail.startsWith("Channel ended") || detail === "channel closed") return "ChannelClosed"
  if (detail === "No channels left to allocate") return "NoChannel"
  return isOfEncoder(error, detail) ? "Invalid" : "Other"
}

const isOfEncoder = (error: unknown, detail: string): boolean =>
  error instanceof Error && encoderErrors.some((pattern) => pattern.test(detail))

const encoderErrors = [
  /^Field '\w+' is the wrong type/,
  /^Missing value for mandatory field/,
  /^(Encoded field table|Unknown type to encode|Decimal value must be)/,
  /^The value of "(value|size)" is out of range/,
  /^content is not a buffer/,
  /^The number .+ (can't be encoded|cannot be converted to a BigInt)/,
  /^A table that has itself in it can't be encoded/
]

const detailOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const codeOf = (error: unknown): number | string | undefined => {
  if (!(error instanceof Error && "code" in error)) return undefined
  return typeof error.code === "number" || typeof error.code === "string" ? error.code : undefined
}
