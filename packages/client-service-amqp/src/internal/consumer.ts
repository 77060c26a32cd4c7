import type { Channel, ConfirmChannel, ConsumeMessage, Options } from "amqplib"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"

import type { AmqpConnection } from "../AmqpConnection.js"
import { AmqpError, fromChannelError } from "../AmqpError.js"
import type { AmqpMessage } from "../AmqpMessage.js"
import { type Channels, keep } from "./channels.js"
import { forever } from "./forever.js"

export interface Settings {
  readonly queue: string
  readonly prefetch: number
  readonly declare: ((channel: Channel) => Promise<unknown>) | undefined
  readonly options: Options.Consume
}

/** The messages of a queue, across connections and channels. */
export const messages = (
  service: ClientService.ClientService<AmqpConnection, AmqpError>,
  settings: Settings
): Stream.Stream<AmqpMessage, AmqpError | ClientService.ServiceStopped | ClientService.RetriesExhausted<AmqpError>> =>
  Stream.map(
    // Those that wait here while their channel closes are not the consumer's any more, and are delivered again.
    Stream.filter(
      ClientService.stream(service, (connection) => onConnection(connection, settings)),
      ({ isOpen }) => isOpen()
    ),
    ({ message }) => message
  )

interface Received {
  readonly message: AmqpMessage
  readonly isOpen: () => boolean
}

const onConnection = ({ channels }: AmqpConnection, settings: Settings): Stream.Stream<Received, AmqpError> =>
  Stream.unwrapScoped(
    Effect.map(
      keep(channels, `consumer of ${settings.queue}`, (signal) => consume(channels, settings, signal.lost), isRefusal),
      (consumer) =>
        Stream.catchAll(
          ClientService.stream(consumer, (received) => Stream.fromQueue(received)),
          (error) =>
            error._tag === "ServiceStopped" ? Stream.fromEffect(forever) : Stream.fail(refusalOf(error, channels))
        )
    )
  )

// What is locked may be so by a connection of ours that the server does not know to be lost.
const isRefusal = ({ code, reason }: AmqpError): boolean =>
  reason === "Other" || (reason === "Rejected" && code !== 405)

const refusalOf = (error: ClientService.RetriesExhausted<AmqpError>, { endpoint }: Channels): AmqpError => {
  const failure = Option.getOrElse(Cause.failureOption(error.cause), () => error)
  return failure instanceof AmqpError ? failure : new AmqpError({ reason: "Other", endpoint, cause: failure })
}

const consume = (channels: Channels, settings: Settings, onLost: (error: AmqpError) => void) =>
  Effect.gen(function* () {
    const received = yield* Queue.unbounded<Received>()
    let isUp = false
    // Until then, what the server refuses tells more than that it has closed the channel for it.
    const channel = yield* channels.open((error) => {
      if (isUp) onLost(error)
    })
    const onMessage = (message: ConsumeMessage | null): void => {
      if (message === null) onLost(new AmqpError({ reason: "Cancelled", endpoint: channels.endpoint }))
      else
        received.unsafeOffer({
          message: messageOf(channels, channel, message),
          isOpen: () => channels.isOpen(channel)
        })
    }
    yield* Effect.tryPromise({
      try: async () => {
        await settings.declare?.(channel)
        await channel.prefetch(settings.prefetch)
        await channel.consume(settings.queue, onMessage, settings.options)
        isUp = true
      },
      catch: (error) => fromChannelError(error, channels.endpoint)
    })
    if (!channels.isOpen(channel)) return yield* closedError(channels)
    return received
  })

const closedError = ({ endpoint }: Channels) => new AmqpError({ reason: "ChannelClosed", endpoint })

const messageOf = (channels: Channels, channel: ConfirmChannel, message: ConsumeMessage): AmqpMessage => {
  let isSettled = false
  const settle = (send: () => void): Effect.Effect<void, AmqpError> =>
    Effect.suspend(() => {
      // A second one would have the server close the channel.
      if (isSettled) return Effect.void
      if (!channels.isOpen(channel)) return closedError(channels)
      return Effect.try({
        try: () => {
          send()
          isSettled = true
        },
        catch: (error) => fromChannelError(error, channels.endpoint)
      })
    })
  return {
    content: message.content,
    redelivered: message.fields.redelivered,
    fields: message.fields,
    properties: message.properties,
    ack: settle(() => channel.ack(message)),
    nack: (options) => settle(() => channel.nack(message, false, options?.requeue ?? true))
  }
}
