import type { ChannelModel, ConfirmChannel } from "amqplib"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Order from "effect/Order"
import type * as Scope from "effect/Scope"
import * as ClientService from "effect-client-service/ClientService"
import * as Endpoint from "effect-client-service/Endpoint"
import * as RetryPolicy from "effect-client-service/RetryPolicy"
import { AmqpError, fromChannelError } from "../AmqpError.js"

/** The channels of one connection. */
export class Channels {
  readonly endpoint: string
  readonly #model: ChannelModel
  readonly #linger: Duration.Duration
  readonly #open = new Set<ConfirmChannel>()

  constructor(model: ChannelModel, endpoint: string, linger: Duration.Duration) {
    this.#model = model
    this.endpoint = endpoint
    this.#linger = linger
  }

  /** Opens a channel, which the Scope closes. The client closes it as well when its connection ends. */
  open(onClosed: (error: AmqpError) => void): Effect.Effect<ConfirmChannel, AmqpError, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const opened = this.#model.createConfirmChannel().then((channel) => this.#listen(channel, onClosed))
        // Whoever waits is told; it may have left.
        opened.catch(() => {})
        return opened
      }),
      (opened) =>
        within(this.#linger, () =>
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

  isOpen(channel: ConfirmChannel): boolean {
    return this.#open.has(channel)
  }

  /** Closes all, after what was sent on them. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((channel) => this.#close(channel)))
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

/** Keeps something on a channel of its own, which is opened again when it is closed and the connection is up. */
export const keep = <A>(
  channels: Channels,
  what: string,
  open: (signal: Endpoint.ConnectionSignal<AmqpError>) => Effect.Effect<A, AmqpError, Scope.Scope>,
  isRefusal: (error: AmqpError) => boolean = () => false
): Effect.Effect<ClientService.ClientService<A, AmqpError>, never, Scope.Scope> => {
  const endpoint = Endpoint.make({ name: `${channels.endpoint} ${what}`, connect: open })
  const retryPolicy = RetryPolicy.fullJitter({ initialDelay: "100 millis", maxDelay: "10 seconds" }).pipe(
    RetryPolicy.whileError((error) => !(error instanceof AmqpError && isRefusal(error)))
  )
  const started = Effect.tap(ClientService.make({ endpoint, retryPolicy }), (service) => service.start)
  // It is no connection, and that it is open is no news.
  return Effect.flatMap(FiberRef.get(FiberRef.currentMinimumLogLevel), (level) =>
    Logger.withMinimumLogLevel(started, Order.max(LogLevel.Order)(level, LogLevel.Warning))
  )
}
