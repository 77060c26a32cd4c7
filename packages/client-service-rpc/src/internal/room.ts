import type * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Predicate from "effect/Predicate"

/**
 * What a serialization takes in one message. A server that has the same one would close the connection for more than that, and
 * end the calls of all others.
 */
export class Room {
  readonly #serialization: RpcSerialization.RpcSerialization["Type"]
  /** So much is taken, whatever it is: the limit is one of length alone. */
  #taken = 0

  constructor(serialization: RpcSerialization.RpcSerialization["Type"]) {
    this.#serialization = serialization
  }

  /** Whether a message would be taken. */
  isFor(message: Uint8Array | string): boolean {
    const { length } = message
    if (length <= this.#taken) return true
    try {
      // But for its end, it has to fit the buffer of what is not complete.
      const parser = this.#serialization.unsafeMake()
      parser.decode(typeof message === "string" ? message.slice(0, -1) : message.subarray(0, -1))
    } catch (error) {
      // What else it says is of the beginning of the message, or of its state, and tells nothing of its length.
      return !Predicate.isTagged(error, "RpcSerializationError")
    }
    this.#taken = length
    return true
  }
}
