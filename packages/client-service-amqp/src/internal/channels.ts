import type { ChannelModel, ConfirmChannel } from "amqplib"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { AmqpError, fromChannelError } from "../AmqpError.js"

/**
 * How many channels a server was found to grant a user, by closing a connection for one more. It may grant more later.
 */
export class ChannelLimit {
  #most = Number.POSITIVE_INFINITY
  #until = 0

  learn(most: number): void {
    this.#most = most
    this.#until = performance.now() + 60_000
  }

  allows(count: number): boolean {
    return count <= this.#most || performance.now() > this.#until
  }
}

/** Whether a connection was closed for that. */
export const isChannelLimit = ({ detail = "" }: AmqpError): boolean =>
  detail.includes("number of channels opened for user")

/** The channels of one connection. */
export class Channels {
  readonly endpoint: string
  /** How large a frame may be, in bytes. */
  readonly frameMax: number
  /** Whether an Effect gives the password, or the options of TLS, which may be another one later. */
  readonly isAskedAgain: boolean
  readonly #model: ChannelModel
  readonly #linger: Duration.Duration
  readonly #limit: ChannelLimit
  readonly #open = new Set<ConfirmChannel>()
  /** When all that is closing is given up. */
  #until: number | undefined
  #opening = 0

  constructor(
    model: ChannelModel,
    settings: {
      readonly name: string
      readonly linger: Duration.Duration
      readonly isAskedAgain: boolean
      readonly channelLimit: ChannelLimit
    }
  ) {
    this.#model = model
    this.endpoint = settings.name
    this.isAskedAgain = settings.isAskedAgain
    this.#linger = settings.linger
    this.#limit = settings.channelLimit
    const { connection } = model
    this.frameMax =
      "frameMax" in connection && typeof connection.frameMax === "number"
        ? connection.frameMax
        : Number.POSITIVE_INFINITY
  }

  /** Opens a channel, which the Scope closes. The client closes it as well when its connection ends. */
  open(onClosed: (error: AmqpError) => void): Effect.Effect<ConfirmChannel, AmqpError, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const opened = this.#create().then((channel) => this.#listen(channel, onClosed))
        // Whoever waits is told; it may have left.
        opened.catch(() => {})
        return opened
      }),
      (opened) =>
        within(this.left, () =>
          opened.then(
            (channel) => this.#close(channel),
            () => {}
          )
        )
    ).pipe(
      Effect.flatMap((opened) =>
        Effect.tryPromise({ try: () => opened, catch: (error) => fromChannelError(error, this.endpoint) })
      )
    )
  }

  /** Its connection is about to be closed, which waits no longer for all of its channels than for one. */
  leave(): void {
    this.#until = performance.now() + Duration.toMillis(this.#linger)
  }

  /** How long closing may wait for the server. */
  get left(): Duration.Duration {
    return this.#until === undefined ? this.#linger : Duration.millis(Math.max(0, this.#until - performance.now()))
  }

  /** The connection was closed for that there was one more than the server grants. */
  tooMany(): void {
    this.#limit.learn(this.#open.size + this.#opening - 1)
  }

  isOpen(channel: ConfirmChannel): boolean {
    return this.#open.has(channel)
  }

  /** Closes all, after what was sent on them. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((channel) => this.#close(channel)))
  }

  async #create(): Promise<ConfirmChannel> {
    if (!this.#limit.allows(this.#open.size + this.#opening + 1))
      throw new AmqpError({ reason: "NoChannel", endpoint: this.endpoint })
    this.#opening += 1
    try {
      return await this.#model.createConfirmChannel()
    } finally {
      this.#opening -= 1
    }
  }

  #listen(channel: ConfirmChannel, onClosed: (error: AmqpError) => void): ConfirmChannel {
    const { endpoint } = this
    let closing = new AmqpError({ reason: "ChannelClosed", endpoint })
    channel.on("error", (cause) => {
      const { code, detail } = fromChannelError(cause, endpoint)
      closing = new AmqpError({ reason: "ChannelClosed", endpoint, code, detail, cause })
    })
    channel.on("close", () => {
      this.#open.delete(channel)
      onClosed(closing)
    })
    this.#open.add(channel)
    return channel
  }

  #close(channel: ConfirmChannel): Promise<void> {
    if (!this.isOpen(channel)) return Promise.resolve()
    return new Promise((resolve) => {
      channel.on("close", resolve)
      // It may be closing already, and of one whose connection breaks meanwhile it does not tell.
      channel.close().catch(() => {})
    })
  }
}

/** Waits for a promise in a finalizer, but not for longer. */
export const within = (duration: Duration.Duration, promise: () => Promise<unknown>): Effect.Effect<void> =>
  Effect.promise(promise).pipe(Effect.interruptible, Effect.timeoutOption(duration), Effect.asVoid)
