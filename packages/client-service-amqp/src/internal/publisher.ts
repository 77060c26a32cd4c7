import { type ConfirmChannel, IllegalOperationError, type Options } from "amqplib"
import { AmqpError, fromChannelError } from "../AmqpError.js"

export interface Publication {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly properties: Options.Publish
}

/**
 * A channel for messages that the server confirms.
 *
 * It fails what it has sent when it is closed, all of it at once: a fiber that watches over each message would cost more
 * than all the rest.
 */
export class Publisher {
  readonly #channel: ConfirmChannel
  readonly #endpoint: string
  readonly #onClosed: (error: AmqpError) => void
  readonly #unconfirmed = new Set<(error: AmqpError) => void>()
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
   * Sends a message and waits until it is confirmed. Rejects with an `AmqpError`, of reason `ChannelClosed` if the channel
   * closes before, or is closed.
   */
  publish(publication: Publication, onSent: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const { content, exchange, properties, routingKey } = publication
      const isMandatory = properties.mandatory === true
      try {
        this.#channel.publish(exchange, routingKey, content, properties, (error: unknown) => {
          const returned = isMandatory ? this.#takeReturned(publication) : undefined
          const isNacked = error instanceof Error && error.message === "message nacked"
          // With any other error, the channel is closed, which `closed` tells of.
          if (error !== null && !isNacked) return
          this.#unconfirmed.delete(reject)
          if (returned !== undefined) reject(returned)
          else if (isNacked) reject(new AmqpError({ reason: "Nacked", endpoint: this.#endpoint }))
          else resolve()
        })
      } catch (error) {
        const failure = fromChannelError(error, this.#endpoint)
        // A channel that is closed together with its opening has no listeners yet that could be told.
        if (error instanceof IllegalOperationError) this.#onClosed(failure)
        reject(failure)
        return
      }
      this.#unconfirmed.add(reject)
      if (isMandatory) this.#mandatory.add(publication)
      onSent()
    })
  }

  /** The channel is closed, so nothing more will be confirmed. */
  closed(error: AmqpError): void {
    for (const reject of this.#unconfirmed) reject(error)
    this.#unconfirmed.clear()
  }

  #takeReturned(publication: Publication): AmqpError | undefined {
    const returned = this.#returned.get(publication)
    this.#mandatory.delete(publication)
    this.#returned.delete(publication)
    return returned
  }
}
