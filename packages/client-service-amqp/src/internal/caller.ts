import type { ConsumeMessage } from "amqplib"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { AmqpError, fromChannelError } from "../AmqpError.js"
import type { AmqpReply } from "../AmqpMessage.js"
import type { Channels } from "./channels.js"
import { type Publication, Publisher } from "./publisher.js"
import type { Publishing } from "./publishing.js"

/** The queue that is none: what is sent to it comes straight back to the channel that has asked. */
const replyTo = "amq.rabbitmq.reply-to"

/** How a call has ended. */
export type Answered = (answer: AmqpReply | AmqpError) => void

/** The calls of a connection, whose answers come by the channel that they are sent on. */
export class Caller {
  readonly #channels: Channels
  readonly publishing: Publishing
  readonly #answered = new Map<string, Answered>()
  // Of which some may be confirmed, so that the publisher knows nothing of them any more.
  readonly #sent = new Set<string>()
  #lastId = 0

  constructor(channels: Channels, publishing: Publishing) {
    this.#channels = channels
    this.publishing = publishing
  }

  /** Sends a call, now or later, and gives what takes it back if it is not sent yet. Its answer is then for nobody. */
  begin({ properties, ...publication }: Publication, onSent: () => void, answered: Answered): () => void {
    const correlationId = String(++this.#lastId)
    this.#answered.set(correlationId, answered)
    const call = { ...publication, properties: { ...properties, correlationId, replyTo } }
    const noted = () => {
      this.#sent.add(correlationId)
      onSent()
    }
    const takeBack = this.publishing.begin(call, noted, (error) => {
      if (error !== undefined) this.#take(correlationId)?.(error)
    })
    return () => {
      this.#take(correlationId)
      takeBack()
    }
  }

  /** Opens the channel. */
  open(hasEnded: () => boolean, lost: (error: AmqpError) => void): Effect.Effect<void, AmqpError, Scope.Scope> {
    const { endpoint, frameMax } = this.#channels
    let publisher: Publisher | undefined
    const closed = (error: AmqpError): void => {
      if (publisher !== undefined) this.publishing.closed(publisher)
      lost(error)
      setImmediate(() => {
        // Where the whole connection is lost, that tells more, and comes next.
        if (hasEnded()) return
        publisher?.closed(error)
        for (const id of this.#sent) this.#take(id)?.(error)
      })
    }
    const onReply = (message: ConsumeMessage | null): void => {
      if (message === null) lost(new AmqpError({ reason: "Cancelled", endpoint }))
      else {
        const { content, fields, properties } = message
        this.#take(String(properties.correlationId))?.({ content, fields, properties })
      }
    }
    return Effect.flatMap(this.#channels.open(closed), (channel) =>
      Effect.tryPromise({
        try: async () => {
          await channel.consume(replyTo, onReply, { noAck: true })
          publisher = new Publisher(channel, endpoint, frameMax, closed)
          this.publishing.opened(publisher)
        },
        catch: (error) => fromChannelError(error, endpoint)
      })
    )
  }

  #take(correlationId: string): Answered | undefined {
    const answered = this.#answered.get(correlationId)
    this.#answered.delete(correlationId)
    this.#sent.delete(correlationId)
    return answered
  }
}
