/**
 * One connection to an AMQP server.
 *
 * @since 0.1.0
 */
import type { ChannelModel, ConfirmChannel } from "amqplib"
import type * as Effect from "effect/Effect"
import type * as Subscribable from "effect/Subscribable"
import type { AmqpError } from "./AmqpError.js"
import type { AmqpReply } from "./AmqpMessage.js"
import type { Caller } from "./internal/caller.js"
import type { Channels } from "./internal/channels.js"
import type { Kept } from "./internal/kept.js"
import type { Publication } from "./internal/publisher.js"
import type { Publishing } from "./internal/publishing.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("effect-client-service-amqp/AmqpConnection")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * One connection to an AMQP server, which is never connected again when it is lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface AmqpConnection {
  readonly [TypeId]: TypeId
  /** The connection of `amqplib`. It refuses to be closed. */
  readonly model: ChannelModel
  /** Whether the server takes no messages now, as it tells whoever publishes when it is short of memory or disk. */
  readonly blocked: Subscribable.Subscribable<boolean>
  /**
   * Opens a channel of `amqplib`, runs `f` with it, and closes it. Fails with an `AmqpError`: of reason `Rejected` if the
   * server refused something and closed the channel for it, or `ChannelClosed` if it closed otherwise.
   */
  readonly use: <A>(f: (channel: ConfirmChannel) => Promise<A>) => Effect.Effect<A, AmqpError>
  /** @internal The channel for messages, which is made again when the server closes it. */
  readonly publisher: Kept
  /** @internal The messages that are sent, or wait to be, on that channel. */
  readonly publishing: Publishing
  /** @internal Sends a message on a channel of its own, on which a refusal is for it alone. */
  readonly publishAlone: (publication: Publication) => Effect.Effect<void, AmqpError>
  /** @internal Sends a call likewise. */
  readonly callAlone: (publication: Publication) => Effect.Effect<AmqpReply, AmqpError>
  /** @internal The channel for calls, which is made when it is asked for. */
  readonly calls: Kept
  /** @internal The calls that are sent, or wait to be, on that channel. */
  readonly caller: Caller
  /** @internal */
  readonly channels: Channels
  /** @internal Whether its end is known, so that what runs on it is about to be interrupted. */
  readonly hasEnded: () => boolean
}
