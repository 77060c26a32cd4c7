/**
 * One connection to an AMQP server.
 *
 * @since 0.1.0
 */
import type { ChannelModel, ConfirmChannel } from "amqplib"
import type * as Effect from "effect/Effect"
import type * as Subscribable from "effect/Subscribable"
import type { ClientService } from "effect-client-service/ClientService"
import type { AmqpError } from "./AmqpError.js"
import type { Channels } from "./internal/channels.js"
import type { Publisher } from "./internal/publisher.js"

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
  /** The connection of `amqplib`. It must not be closed. */
  readonly model: ChannelModel
  /** Whether the server takes no messages now, as it tells whoever publishes when it is short of memory or disk. */
  readonly blocked: Subscribable.Subscribable<boolean>
  /**
   * Opens a channel of `amqplib`, runs `f` with it, and closes it. Fails with an `AmqpError`: of reason `Rejected` if the
   * server refused something and closed the channel for it, or `ChannelClosed` if it closed otherwise.
   */
  readonly use: <A>(f: (channel: ConfirmChannel) => Promise<A>) => Effect.Effect<A, AmqpError>
  /** @internal The channel for messages, which is made again when the server closes it. */
  readonly publisher: ClientService<Publisher, AmqpError>
  /** @internal Publishes on that channel; without it, rejects with an `AmqpError` of reason `ChannelClosed`. */
  readonly publish: Publisher["publish"]
  /** @internal */
  readonly channels: Channels
  /** @internal Whether its end is known, so that what runs on it is about to be interrupted. */
  readonly hasEnded: () => boolean
}
