import { type ConfirmChannel, IllegalOperationError, type Options } from "amqplib"
import * as Effect from "effect/Effect"
import { AmqpError, fromChannelError } from "../AmqpError.js"

export interface Publication {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly properties: Options.Publish
}

/** A channel for messages that the server confirms. */
export class Publisher {
  readonly #channel: ConfirmChannel
  readonly #endpoint: string
  readonly #onClosed: (error: AmqpError) => void
  readonly #mandatory = new Set<Publication>()
  readonly #returned = new Map<Publication, AmqpError>()

  /** The callback is told if the channel is found closed, of which it may have known already. */
  constructor(channel: ConfirmChannel, endpoint: string, onClosed: (error: AmqpError) => void) {
    this.#channel = channel
    this.#endpoint = endpoint
    this.#onClosed = onClosed
    channel.on("return", ({ content, fields }) => {
      // The server does not tell which one it returns. Those that are alike are returned alike.
      for (const publication of this.#mandatory) {
        const { exchange, routingKey } = publication
        if (exchange !== fields.exchange || routingKey !== fields.routingKey) continue
        if (this.#returned.has(publication) || !content.equals(publication.content)) continue
        this.#returned.set(publication, new AmqpError({ reason: "Unroutable", endpoint, code: 312 }))
        return
      }
    })
  }

  /**
   * Sends a message and waits until it is confirmed. If the channel closes before, it goes on waiting, for whoever knows of
   * that to interrupt it.
   */
  publish(publication: Publication, onSent: () => void): Effect.Effect<void, AmqpError> {
    return Effect.async((resume) => {
      const { content, exchange, properties, routingKey } = publication
      const settle = (error: unknown): void => {
        this.#mandatory.delete(publication)
        const returned = this.#returned.get(publication)
        this.#returned.delete(publication)
        if (returned !== undefined) resume(Effect.fail(returned))
        else if (error === null) resume(Effect.void)
        else if (error instanceof Error && error.message === "message nacked")
          resume(Effect.fail(new AmqpError({ reason: "Nacked", endpoint: this.#endpoint })))
      }
      try {
        this.#channel.publish(exchange, routingKey, content, properties, settle)
        if (properties.mandatory === true) this.#mandatory.add(publication)
        onSent()
      } catch (error) {
        const failure = fromChannelError(error, this.#endpoint)
        // A channel that is closed together with its opening has no listeners yet that could be told.
        if (error instanceof IllegalOperationError) return this.#onClosed(failure)
        resume(Effect.fail(failure))
      }
    })
  }
}
