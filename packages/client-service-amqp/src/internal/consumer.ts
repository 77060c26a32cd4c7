import type { Channel as AmqpChannel, ConfirmChannel, ConsumeMessage, MessageProperties, Options } from "amqplib"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import * as Race from "effect-client-service/Race"
import * as Delays from "effect-client-service-driver/Delays"
import type { AmqpConnection } from "../AmqpConnection.js"
import { AmqpError, type ConnectFailure, fromChannelError } from "../AmqpError.js"
import type { AmqpMessage } from "../AmqpMessage.js"
import { Asked } from "./blame.js"
import { type Channels, isChannelLimit } from "./channels.js"
import { sizeOfTable } from "./frameSize.js"
import { Inbox } from "./inbox.js"
import { isPermanentReply } from "./permanent.js"
import { idHeader } from "./publisher.js"

export interface Settings {
  readonly queue: string
  readonly prefetch: number
  readonly declare: ((channel: AmqpChannel) => Promise<unknown>) | undefined
  readonly options: Options.Consume
  /** Whether each message is settled as it is handed out. */
  readonly isAcknowledged: boolean
}

type Service = ClientService.ClientService<AmqpConnection, ConnectFailure>

type End = AmqpError | ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>

/**
 * The messages of a queue, across connections and channels.
 *
 * `alone` is for one consumer at a time, of those that asked for something when the server closed the whole connection.
 */
export const messages = (
  service: Service,
  settings: Settings,
  alone: Effect.Semaphore
): Stream.Stream<AmqpMessage, End> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const received = new Inbox<Exit.Exit<Received, End>>()
      const consumer = new Consumer(service, settings, alone, received.offer)
      yield* Effect.forkScoped(Effect.interruptible(consumer.run))
      // One at a time, so that it is known what is with whoever consumes.
      const read = (): Read => {
        for (let exit = received.take(); exit !== undefined; exit = received.take()) {
          if (Exit.isFailure(exit)) return Channel.failCause(exit.cause)
          const { message, take } = exit.value
          if (take()) return Channel.flatMap(Channel.write(Chunk.of(message)), read)
        }
        return Channel.flatMap(Channel.fromEffect(received.arrival), read)
      }
      return Stream.fromChannel(Channel.suspend(read))
    })
  )

type Read = Channel.Channel<Chunk.Chunk<AmqpMessage>, unknown, End, unknown, void>

/** A message that was delivered here, and waits to be taken. */
interface Received {
  readonly message: AmqpMessage
  /** Hands it out, unless it can't be settled any more. */
  readonly take: () => boolean
}

class Consumer {
  readonly #service: Service
  readonly #settings: Settings
  readonly #alone: Effect.Semaphore
  readonly #offer: (exit: Exit.Exit<Received, End>) => void
  /** Where the next channel begins, if the queue is a stream. */
  #offset: number | undefined
  /** Whether it waits for the answer to what it has asked for. */
  #isAsking = false
  readonly #asked = new Asked()
  /** How long it waits until it asks again. */
  readonly #delays = Delays.make()
  /** When the server has closed the connection first while it asked. */
  #closedFirst = 0
  /** How often the server has closed the connection while it did so; after the first time, it was the only one. */
  #closes = 0

  constructor(
    service: Service,
    settings: Settings,
    alone: Effect.Semaphore,
    offer: (exit: Exit.Exit<Received, End>) => void
  ) {
    this.#service = service
    this.#settings = settings
    this.#alone = alone
    this.#offer = offer
  }

  /** Consumes on each connection in turn. On one that is replaced, it goes on until what it has handed out is settled. */
  get run(): Effect.Effect<void, never, Scope.Scope> {
    const connection = Effect.gen(this, function* () {
      const handedOver = yield* Deferred.make<void>()
      const consuming = yield* Effect.forkScoped(
        ClientService.useUntilNext(this.#service, (connection, next) =>
          this.#onConnection(connection, next, handedOver)
        )
      )
      yield* Race.firstOf(Deferred.await(handedOver), Fiber.await(consuming))
      const exit = yield* Fiber.poll(consuming)
      if (Option.isSome(exit)) yield* Effect.catchTag(exit.value, "ConnectionLost", (error) => this.#lost(error))
    })
    return Effect.forever(connection).pipe(
      Effect.catchAllCause((cause) => Effect.sync(() => this.#offer(Exit.failCause(cause))))
    )
  }

  // What the server does not take from a consumer may have it close the connection, of all the others too, again and again.
  #lost({ cause }: ClientService.ConnectionLost): Effect.Effect<void, AmqpError> {
    const wasAsking = this.#isAsking
    this.#isAsking = false
    if (!wasAsking || !(cause instanceof AmqpError) || !hardErrors.has(cause.code)) return Effect.void
    if (isChannelLimit(cause) || !this.#asked.maybe(cause.cause)) return Effect.void
    return Effect.flatMap(Delays.monotonicMillis, (now) => {
      if (this.#closes === 0) this.#closedFirst = now
      this.#closes += 1
      if (this.#closes < 3) return Effect.void
      const { code, detail, endpoint } = cause
      // An error of the server's own may be over in a minute. Meanwhile, the others have their turn.
      if (code === internalError && now - this.#closedFirst < patience) return this.#pause(cause)
      return new AmqpError({ reason: "Rejected", endpoint, code, detail, cause })
    })
  }

  #pause(cause: AmqpError): Effect.Effect<void> {
    // From when a stop begins: it may wait for what the others have of the connection.
    const hasEnded = this.#service.state.changes.pipe(
      Stream.filter(({ _tag }) => _tag === "Disconnecting" || _tag === "Stopped" || _tag === "Exhausted"),
      Stream.runHead
    )
    return Effect.flatMap(this.#delay(cause.endpoint, cause), (delay) => Race.firstOf(Effect.sleep(delay), hasEnded))
  }

  #delay(endpoint: string, error: AmqpError): Effect.Effect<Duration.Duration> {
    return this.#delays.next(`${endpoint} consumer of ${this.#settings.queue}`, error)
  }

  #onConnection(
    connection: AmqpConnection,
    next: Effect.Effect<unknown, unknown>,
    handedOver: Deferred.Deferred<void>
  ): Effect.Effect<void, AmqpError> {
    return Effect.gen(this, function* () {
      const ending = yield* Deferred.make<"replaced" | "stopped">()
      yield* next.pipe(
        Effect.match({ onSuccess: () => "replaced" as const, onFailure: () => "stopped" as const }),
        Effect.flatMap((end) => Deferred.succeed(ending, end)),
        Effect.forkScoped
      )
      for (;;) {
        const end = yield* Effect.either(Effect.scoped(this.#onChannel(connection, ending, handedOver)))
        if (Either.isRight(end)) return
        const error = end.left
        if (isFinal(error, connection.channels)) return yield* error
        const delay = yield* this.#delay(connection.channels.endpoint, error)
        yield* Race.firstOf(Effect.sleep(delay), Deferred.await(ending))
        if (yield* Deferred.isDone(ending)) return
      }
    }).pipe(Effect.scoped)
  }

  /** Consumes on a channel, until that is lost, or has nothing left to do on a connection that ends. */
  #onChannel(
    connection: AmqpConnection,
    ending: Deferred.Deferred<"replaced" | "stopped">,
    handedOver: Deferred.Deferred<void>
  ): Effect.Effect<void, AmqpError, Scope.Scope> {
    return Effect.gen(this, function* () {
      const opening = Effect.asSome(this.#open(connection))
      const opened = yield* Race.firstOf(opening, Effect.as(Deferred.await(ending), Option.none()))
      if (Option.isNone(opened)) return
      const { value: channel } = opened
      yield* this.#delays.began
      const end = yield* Race.firstOf(Deferred.await(channel.lost), Deferred.await(ending))
      channel.drain()
      // A stream has each message but once at a time, so what comes next begins where this ends.
      if (end === "replaced" && this.#offset === undefined) yield* Deferred.succeed(handedOver, undefined)
      yield* Race.firstOf(Deferred.await(channel.lost), Deferred.await(channel.settled))
    })
  }

  /** Opens a channel and consumes on it. */
  #open({ channels }: AmqpConnection): Effect.Effect<Consuming, AmqpError, Scope.Scope> {
    const { declare, isAcknowledged, options, prefetch, queue } = this.#settings
    const asking = Effect.gen(this, function* () {
      this.#isAsking = true
      this.#asked.clear()
      const consuming = new Consuming(channels, isAcknowledged, this.#offer, (offset) => {
        this.#offset = offset
      })
      const channel = yield* channels.open(consuming.closed)
      this.#asked.listen(channel)
      yield* Effect.addFinalizer(() => Effect.sync(consuming.ended))
      yield* Effect.tryPromise({
        try: async () => {
          sizeOfTable(options.arguments)
          await declare?.(channel)
          await channel.prefetch(prefetch)
          const onMessage = (message: ConsumeMessage | null) => consuming.received(channel, message)
          const { consumerTag } = await channel.consume(queue, onMessage, this.#from(options))
          consuming.consumes(channel, consumerTag)
        },
        catch: (error) => fromChannelError(error, channels.endpoint)
      })
      if (!channels.isOpen(channel)) return yield* closedError(channels)
      this.#isAsking = false
      this.#closes = 0
      return consuming
    })
    // It is interrupted by the loss of the connection, which tells whether it was for this.
    const told = Effect.onError(asking, (cause) =>
      Effect.sync(() => {
        this.#isAsking = Cause.isInterrupted(cause) || isLoss(cause)
      })
    )
    return Effect.suspend(() => (this.#closes === 0 ? told : this.#alone.withPermits(1)(told)))
  }

  // What was delivered of a stream before is not delivered again.
  #from(options: Options.Consume): Options.Consume {
    if (this.#offset === undefined) return options
    return { ...options, arguments: { ...options.arguments, "x-stream-offset": this.#offset } }
  }
}

/** A channel that consumes. */
class Consuming {
  readonly #channels: Channels
  readonly #isAcknowledged: boolean
  readonly #offer: (exit: Exit.Exit<Received>) => void
  readonly #passed: (offset: number) => void
  readonly #waiting = new Set<ConsumeMessage>()
  /** What is with whoever consumes. */
  readonly #held = new Set<ConsumeMessage>()
  readonly lost = Deferred.unsafeMake<never, AmqpError>(FiberId.none)
  /** Of a channel that drains: whether nothing is held any more. */
  readonly settled = Deferred.unsafeMake<void>(FiberId.none)
  #channel: ConfirmChannel | undefined
  #tag = ""
  #isDraining = false

  constructor(
    channels: Channels,
    isAcknowledged: boolean,
    offer: (exit: Exit.Exit<Received>) => void,
    passed: (offset: number) => void
  ) {
    this.#channels = channels
    this.#isAcknowledged = isAcknowledged
    this.#offer = offer
    this.#passed = passed
  }

  consumes(channel: ConfirmChannel, tag: string): void {
    this.#channel = channel
    this.#tag = tag
  }

  // Until it consumes, what the server refuses tells more than that it has closed the channel for it.
  readonly closed = (error: AmqpError): void => {
    if (this.#channel !== undefined) Deferred.unsafeDone(this.lost, Exit.fail(error))
  }

  received(channel: ConfirmChannel, message: ConsumeMessage | null): void {
    if (message === null) {
      const { endpoint } = this.#channels
      Deferred.unsafeDone(this.lost, Exit.fail(new AmqpError({ reason: "Cancelled", endpoint })))
    } else if (this.#isDraining) giveBack(channel, message)
    else {
      this.#waiting.add(message)
      this.#offer(
        Exit.succeed({ message: this.#messageOf(channel, message), take: () => this.#take(channel, message) })
      )
    }
  }

  /** Takes no more messages, and gives back those that nobody has been handed. */
  drain(): void {
    const channel = this.#channel
    this.#isDraining = true
    if (channel !== undefined && this.#channels.isOpen(channel)) {
      channel.cancel(this.#tag).catch(() => {})
      for (const message of this.#waiting) giveBack(channel, message)
    }
    this.#waiting.clear()
    this.#look()
  }

  /** What was not settled of a stream comes again. */
  readonly ended = (): void => {
    this.#waiting.clear()
    const offsets = [...this.#held].map(offsetOf).filter((offset) => offset !== undefined)
    if (offsets.length > 0) this.#passed(Math.min(...offsets))
  }

  #take(channel: ConfirmChannel, message: ConsumeMessage): boolean {
    if (!this.#waiting.delete(message) || !this.#channels.isOpen(channel)) return false
    const offset = offsetOf(message)
    if (offset !== undefined) this.#passed(offset + 1)
    if (this.#isAcknowledged) channel.ack(message)
    else this.#held.add(message)
    return true
  }

  #look(): void {
    if (this.#isDraining && this.#held.size === 0) Deferred.unsafeDone(this.settled, Exit.void)
  }

  #messageOf(channel: ConfirmChannel, message: ConsumeMessage): AmqpMessage {
    let isSettled = this.#isAcknowledged
    const settle = (send: () => void): Effect.Effect<void, AmqpError> =>
      Effect.suspend(() => {
        // A second one would have the server close the channel.
        if (isSettled) return Effect.void
        if (!this.#channels.isOpen(channel)) return closedError(this.#channels)
        return Effect.try({
          try: () => {
            send()
            isSettled = true
            this.#held.delete(message)
            this.#look()
          },
          catch: (error) => fromChannelError(error, this.#channels.endpoint)
        })
      })
    const { content, fields, properties } = message
    return {
      content,
      redelivered: fields.redelivered,
      fields,
      properties: withoutId(properties),
      ack: settle(() => channel.ack(message)),
      nack: (options) => settle(() => channel.nack(message, false, options?.requeue ?? true))
    }
  }
}

/** Whether asking again is of no use: nothing of it can be sent, or the server says what it will say again. */
const isFinal = ({ code, detail, reason }: AmqpError, { isAskedAgain }: Channels): boolean => {
  if (reason === "Invalid") return true
  // What a token permits, the next one may not, and the other way round.
  return reason === "Rejected" && isPermanentReply(code, detail) && !(code === 403 && isAskedAgain)
}

/** The code of an error that is the server's own. */
const internalError = 541

/** How long a consumer goes on with a server that has such ones, in milliseconds. */
const patience = 60_000

/** The codes by which a server closes a connection for what it was asked. */
const hardErrors: ReadonlySet<unknown> = new Set([501, 502, 503, 504, 505, 530, 540, 541])

const isLoss = (cause: Cause.Cause<AmqpError>): boolean =>
  Option.exists(Cause.failureOption(cause), ({ reason }) => reason === "ChannelClosed")

const closedError = ({ endpoint }: Channels) => new AmqpError({ reason: "ChannelClosed", endpoint })

const offsetOf = ({ properties }: ConsumeMessage): number | undefined => {
  const offset: unknown = properties.headers?.["x-stream-offset"]
  return typeof offset === "number" ? offset : undefined
}

// A stream has them still.
const giveBack = (channel: ConfirmChannel, message: ConsumeMessage): void => {
  if (offsetOf(message) === undefined) channel.nack(message, false, true)
}

const withoutId = (properties: MessageProperties): MessageProperties => {
  if (properties.headers?.[idHeader] === undefined) return properties
  const { [idHeader]: _, ...headers } = properties.headers
  return { ...properties, headers }
}
