import type { ChannelModel, ConfirmChannel } from "amqplib"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Delays from "effect-client-service-driver/Delays"
import { AmqpError, fromChannelError } from "../AmqpError.js"
import { type Observer, observe } from "./observe.js"

/**
 * How many channels a server was found to grant a user, by closing a connection for one more. It may grant more later.
 */
export class ChannelLimit {
  #most = Number.POSITIVE_INFINITY
  #until = 0

  learn(most: number, clock: Clock.Clock): void {
    this.#most = most
    this.#until = Delays.monotonic(clock) + 60_000
  }

  allows(count: number, clock: Clock.Clock): boolean {
    return count <= this.#most || Delays.monotonic(clock) > this.#until
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
  /** Those that are open, and who waits for each to close. */
  readonly #open = new Map<ConfirmChannel, Set<() => void>>()
  readonly #clock: Clock.Clock
  /** Since when its connection is about to be closed. */
  #leavingSince: number | undefined
  #opening = 0

  constructor(
    model: ChannelModel,
    settings: {
      readonly name: string
      readonly linger: Duration.Duration
      readonly isAskedAgain: boolean
      readonly channelLimit: ChannelLimit
    },
    clock: Clock.Clock
  ) {
    this.#model = model
    this.endpoint = settings.name
    this.isAskedAgain = settings.isAskedAgain
    this.#linger = settings.linger
    this.#limit = settings.channelLimit
    this.#clock = clock
    const { connection } = model
    this.frameMax =
      "frameMax" in connection && typeof connection.frameMax === "number"
        ? connection.frameMax
        : Number.POSITIVE_INFINITY
  }

  /** Opens a channel, which the Scope closes. The client closes it as well when its connection ends. */
  open(onClosed: (error: AmqpError) => void): Effect.Effect<ConfirmChannel, AmqpError, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.map(Effect.runtime(), (runtime) => {
        const threw = (error: unknown) =>
          void Runtime.runFork(runtime)(Effect.logWarning("a listener of a channel has thrown", Cause.die(error)))
        const opened = this.#create().then((channel) => this.#observe(channel, onClosed, threw))
        // Whoever waits is told; it may have left.
        opened.catch(() => {})
        return opened
      }),
      (opened) =>
        within(this.#left, () =>
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

  /**
   * Its connection is about to be closed. All channels are closed together, so that one that gets no answer takes no time from
   * the others, and half of it is left for the connection.
   */
  leave(): void {
    this.#leavingSince = Delays.monotonic(this.#clock)
    for (const channel of this.#open.keys()) this.#close(channel)
  }

  /** Waits until its channels are closed, which is after what was sent on them, and then for what closes the connection. */
  close(connection: () => Promise<unknown>): Effect.Effect<void> {
    const channels = within(this.#left, () =>
      Promise.all([...this.#open.keys()].map((channel) => this.#close(channel)))
    )
    return Effect.zipRight(
      channels,
      Effect.suspend(() => within(this.#leftUntil(1), connection))
    )
  }

  /** How long the closing of a channel may wait for the server. */
  get #left(): Duration.Duration {
    return this.#leftUntil(0.5)
  }

  #leftUntil(share: number): Duration.Duration {
    if (this.#leavingSince === undefined) return this.#linger
    const until = this.#leavingSince + share * Duration.toMillis(this.#linger)
    return Duration.millis(Math.max(0, until - Delays.monotonic(this.#clock)))
  }

  /** The connection was closed for that there was one more than the server grants. */
  tooMany(): void {
    this.#limit.learn(this.#open.size + this.#opening - 1, this.#clock)
  }

  isOpen(channel: ConfirmChannel): boolean {
    return this.#open.has(channel)
  }

  async #create(): Promise<ConfirmChannel> {
    if (!this.#limit.allows(this.#open.size + this.#opening + 1, this.#clock))
      throw new AmqpError({ reason: "NoChannel", endpoint: this.endpoint })
    this.#opening += 1
    try {
      return await this.#model.createConfirmChannel()
    } finally {
      this.#opening -= 1
    }
  }

  #observe(channel: ConfirmChannel, onClosed: (error: AmqpError) => void, threw: Observer["threw"]): ConfirmChannel {
    const { endpoint } = this
    let closing = new AmqpError({ reason: "ChannelClosed", endpoint })
    observe(channel, {
      failed: (cause) => {
        const { code, detail } = fromChannelError(cause, endpoint)
        closing = new AmqpError({ reason: "ChannelClosed", endpoint, code, detail, cause })
      },
      closed: () => {
        const closers = this.#open.get(channel)
        this.#open.delete(channel)
        // Nobody is to open another one.
        if (this.#leavingSince === undefined) onClosed(closing)
        for (const closed of closers ?? []) closed()
      },
      threw
    })
    this.#open.set(channel, new Set())
    return channel
  }

  #close(channel: ConfirmChannel): Promise<void> {
    return new Promise((resolve) => {
      const closers = this.#open.get(channel)
      if (closers === undefined) return resolve()
      closers.add(resolve)
      // It may be closing already, and of one whose connection breaks meanwhile it does not tell.
      channel.close().catch(() => {})
    })
  }
}

/** Waits for a promise in a finalizer, but not for longer. */
export const within = (duration: Duration.Duration, promise: () => Promise<unknown>): Effect.Effect<void> =>
  Effect.promise(promise).pipe(Effect.interruptible, Effect.timeoutOption(duration), Effect.asVoid)
