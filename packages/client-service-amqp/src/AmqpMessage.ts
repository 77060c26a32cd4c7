/**
 * A message that a queue has delivered.
 *
 * @since 0.1.0
 */
import type { ConsumeMessageFields, MessageProperties } from "amqplib"
import type * as Effect from "effect/Effect"
import type { AmqpError } from "./AmqpError.js"

/**
 * A message that a queue has delivered, and waits for to be settled: acknowledged or not.
 *
 * It is settled on the channel that it came by. When that is lost, the server delivers the message again, and settling
 * this one fails with an `AmqpError` of reason `ChannelClosed`. Only the first settlement counts.
 *
 * @since 0.1.0
 * @category models
 */
export interface AmqpMessage {
  readonly content: Buffer
  /** Whether it may have been delivered before. */
  readonly redelivered: boolean
  /** How it came. */
  readonly fields: ConsumeMessageFields
  /** What its publisher gave along. */
  readonly properties: MessageProperties
  /** Tells the server that it is done. That is sent, and has no answer. */
  readonly ack: Effect.Effect<void, AmqpError>
  /**
   * Tells the server that it can't be done: to deliver it again, or, with `requeue: false`, to drop it or pass it to the
   * dead letters.
   */
  readonly nack: (options?: { readonly requeue?: boolean | undefined }) => Effect.Effect<void, AmqpError>
}

/**
 * The answer to a call.
 *
 * @since 0.1.0
 * @category models
 */
export interface AmqpReply {
  readonly content: Buffer
  /** How it came. */
  readonly fields: ConsumeMessageFields
  /** What whoever answered gave along. */
  readonly properties: MessageProperties
}
