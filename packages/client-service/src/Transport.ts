/**
 * One live byte connection.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/**
 * A live byte connection, as endpoints over sockets give it. It belongs to the connection it came with, and is of no
 * use after that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transport {
  /**
   * The bytes that the peer sends, ended by its clean close. It pulls: while nobody reads, the peer is pushed back. What
   * came before the end is the reader's, who gets all of it, and the connection is lost when the reader has come to the
   * end.
   *
   * One consumer at a time: another fails with the reason `Busy`, as each would take what is meant for the other. A later
   * one goes on where an earlier one stopped.
   */
  readonly incoming: Stream.Stream<Uint8Array, TransportError>
  /**
   * Sends bytes, or text as UTF-8. Completes when they are accepted for sending, and waits as long as the send buffer
   * is full. Writes go out in the order in which they were begun.
   *
   * The caller keeps the array, and may use it again once the write is done.
   */
  readonly write: Write
  /**
   * Says that nothing more will be written, once what was written is sent. The peer can still send.
   */
  readonly end: Effect.Effect<void, TransportError>
  /**
   * The peer's address, for people to read.
   */
  readonly remote: string
  /**
   * When something last came in, read or not: in milliseconds of the monotonic time of Effect's `Clock`, nothing before the
   * first. While the peer is held back, since nobody reads what it has sent, that is now. It is for the `lastReceived` of a
   * heartbeat. Not every transport tells.
   */
  readonly lastReceived?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Write {
  (chunk: Uint8Array | string): Effect.Effect<void, TransportError>
  /**
   * Writes if that needs not wait, in no fiber, and tells whether it has. After `false` nothing was sent, and the Effect waits,
   * or tells why not, and so it is if this throws. It is for those who write on behalf of many, and not every transport has
   * it. Whoever writes by a function of their own leaves it out, or makes one of their own.
   */
  readonly now?: (chunk: Uint8Array | string) => boolean
}

/**
 * A transport over a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketTransport extends Transport {
  /**
   * What `incoming` has, with text as a string. Both are of one connection, so what is taken from either is not in the
   * other.
   */
  readonly messages: Stream.Stream<string | Uint8Array, TransportError>
  /** The subprotocol that the server has chosen of those that were offered; empty if none was. */
  readonly subprotocol: string
}

/**
 * Reading or writing failed.
 *
 * - `Read`, `Write`: the operation failed; `cause` tells why.
 * - `Closed`: the transport is closed, or its sending side has ended.
 * - `Overflow`: the peer sent more than the receive buffer holds, on a transport that can't push back.
 * - `Busy`: somebody else reads already.
 *
 * @since 0.1.0
 * @category errors
 */
export class TransportError extends Data.TaggedError("TransportError")<{
  readonly reason: "Read" | "Write" | "Closed" | "Overflow" | "Busy"
  /** The bytes that the receive buffer holds, of an `Overflow`. */
  readonly limit?: number
  readonly cause?: unknown
}> {
  override get message(): string {
    if (this.limit !== undefined) return `${messages[this.reason]}: ${this.limit} bytes`
    return this.cause instanceof Error ? `${messages[this.reason]}: ${this.cause.message}` : messages[this.reason]
  }
}

const messages: Record<TransportError["reason"], string> = {
  Read: "reading from the connection failed",
  Write: "writing to the connection failed",
  Closed: "the connection is closed",
  Overflow: "the peer sent more than the receive buffer holds",
  Busy: "somebody else reads from the connection already"
}
