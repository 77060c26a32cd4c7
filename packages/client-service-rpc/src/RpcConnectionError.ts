/**
 * What loses a connection that carries `@effect/rpc`, and what ends a call on it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { TransportError } from "effect-client-service/Transport"

/**
 * What a connection is lost with by its protocol.
 *
 * @since 0.1.0
 * @category models
 */
export type RpcConnectionError = TransportError | MalformedResponse

/**
 * The peer sent what can't be understood, so the connection is of no use any more.
 *
 * - `Undecodable`: the bytes are not of the serialization.
 * - `Unexpected`: they are, but are no response.
 * - `TooLarge`: a message is larger than the buffer of the serialization.
 *
 * It does not tell what was sent, since that may be secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedResponse extends Data.TaggedError("MalformedResponse")<{
  readonly reason: "Undecodable" | "Unexpected" | "TooLarge"
}> {
  override get message(): string {
    return messages[this.reason]
  }
}

/**
 * The server has interrupted the call, as one does that is stopped. It may have run a part of it. The `cause` of a
 * `RpcClientError`; the connection itself may live on.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallInterrupted extends Data.TaggedError("CallInterrupted") {
  override get message(): string {
    return "the server interrupted the call"
  }
}

/**
 * Too many calls wait to be sent already, or too many bytes of them, since the server reads less than is sent. This one was not
 * sent. The `cause` of a `RpcClientError`.
 *
 * @since 0.1.0
 * @category errors
 */
export class Overloaded extends Data.TaggedError("Overloaded") {
  override get message(): string {
    return "too many calls wait to be sent already"
  }
}

/**
 * The call is larger than the buffer of the serialization, which its server has too: it would close the connection. The call was
 * not sent. The `cause` of a `RpcClientError`.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooLarge extends Data.TaggedError("TooLarge") {
  override get message(): string {
    return "the call is larger than the buffer of the serialization"
  }
}

const messages: Record<MalformedResponse["reason"], string> = {
  Undecodable: "the peer sent bytes that the serialization can't decode",
  Unexpected: "the peer sent a message that is no response",
  TooLarge: "the peer sent a message that is larger than the buffer of the serialization"
}
