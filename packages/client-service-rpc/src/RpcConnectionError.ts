/**
 * What loses a connection that carries `@effect/rpc`.
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

const messages: Record<MalformedResponse["reason"], string> = {
  Undecodable: "the peer sent bytes that the serialization can't decode",
  Unexpected: "the peer sent a message that is no response",
  TooLarge: "the peer sent a message that is larger than the buffer of the serialization"
}
