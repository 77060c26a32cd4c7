/**
 * What is wrong with a frame, of `Framing` and `Exchange`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * A frame that can't be read, sent, or taken for what was asked.
 *
 * - `TooLong`: the peer sent a longer frame than `limit` bytes, or said that it would.
 * - `CutOff`: the peer ended the connection in the middle of a frame.
 * - `Undecodable`: what the peer sent is no frame, or a function that is to decode it threw `cause`.
 * - `Unencodable`: what was to be sent can't be a frame, as a line that has two, or a function that is to encode it threw
 *   `cause`. Nothing was sent, and the connection goes on.
 * - `Unasked`: the peer answered what nobody has asked.
 * - `Unread`: more events than `limit` bytes were not read while a call waited for its answer.
 *
 * No message has anything of the frame.
 *
 * @since 0.1.0
 * @category errors
 */
export class FrameError extends Data.TaggedError("FrameError")<{
  readonly reason: "TooLong" | "CutOff" | "Undecodable" | "Unencodable" | "Unasked" | "Unread"
  /** How many bytes there may be, of a frame that is `TooLong`, and of events that are `Unread`. */
  readonly limit?: number
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.limit === undefined ? messages[this.reason] : `${messages[this.reason]}: more than ${this.limit} bytes`
  }
}

const messages: Record<FrameError["reason"], string> = {
  TooLong: "a frame of the peer is too long",
  CutOff: "the peer ended the connection in the middle of a frame",
  Undecodable: "a frame of the peer could not be decoded",
  Unencodable: "what was to be sent could not be encoded as a frame",
  Unasked: "the peer answered what nobody has asked",
  Unread: "nobody reads the events of the peer"
}
