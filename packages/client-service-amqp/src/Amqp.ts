/**
 * Publishing with confirms, and consuming, over one AMQP connection that is kept alive.
 *
 * @since 0.1.0
 */
import type { Channel, Options as ClientOptions, ConfirmChannel } from "amqplib"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import * as ClientService from "effect-client-service/ClientService"
import type * as Endpoint from "effect-client-service/Endpoint"
import * as DriverLayer from "effect-client-service-driver/DriverLayer"
import * as Validate from "effect-client-service-driver/Validate"
import type { AmqpConnection } from "./AmqpConnection.js"
import * as AmqpEndpoint from "./AmqpEndpoint.js"
import type { AmqpError, ConnectFailure } from "./AmqpError.js"
import type { AmqpMessage, AmqpReply } from "./AmqpMessage.js"
import { messages } from "./internal/consumer.js"
import { forever } from "./internal/forever.js"
import { makeSend, type Send } from "./internal/send.js"

/**
 * What fails callers that wait when there is no connection and there will be none.
 *
 * @since 0.1.0
 * @category models
 */
export type ServiceEnd = ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>

/**
 * What fails those who say how long they wait, when there is no connection by then.
 *
 * @since 0.1.0
 * @category models
 */
export type NotConnected = ClientService.NotConnected<ConnectFailure>

/**
 * AMQP over one connection that is kept alive.
 *
 * While there is no connection, callers wait for one. Nothing of theirs is queued, so whoever is interrupted, or is given
 * a timeout, leaves nothing behind.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The service under it: its state, its connections, `reconnect` and `stop`. */
  readonly service: ClientService.ClientService<AmqpConnection, ConnectFailure>
  /**
   * Waits for a connection, opens a channel of `amqplib`, runs `f` with it once, and closes it: for declaring, and for what
   * this has nothing for. If the connection is lost meanwhile, fails with `ConnectionLost`. With `maxWait`, fails with
   * `NotConnected` if there is no connection within that time; `f` may take as long as it takes.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly use: Use
  /**
   * Publishes a message to an exchange and waits until the server confirms that it has it.
   *
   * It waits for a connection and a channel, and for a server that takes messages, as long as it is not sent; whoever leaves
   * meanwhile takes the message back. If its channel is lost after that, it is sent again
   * with `resend: true`, and otherwise fails with an `AmqpError` of reason `Unconfirmed`. It fails with `Nacked` if the
   * server says so, with `Unroutable` if it is `mandatory` and there is no queue for it, with `Rejected` if the server refuses
   * it, and with `Invalid`, without being sent, if it can't be encoded or does not fit a frame.
   *
   * With `maxWait`, it fails with `NotConnected` if there is no connection with a channel within that time, and with an
   * `AmqpError` of reason `Blocked` if there is one that takes no messages. Then the message was not sent.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { Amqp } from "effect-client-service-amqp"
   *
   * declare const amqp: Amqp.Service
   *
   * // False if it was not sent, for want of a connection.
   * const isPublished = amqp.publish("news", "weather.today", "rain", { maxWait: "2 seconds" }).pipe(
   *   Effect.as(true),
   *   Effect.catchTag("NotConnected", () => Effect.succeed(false))
   * )
   * ```
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly publish: Publish
  /**
   * Publishes a message to a queue, as `publish` does to an exchange.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly sendToQueue: SendToQueue
  /**
   * Publishes a message to an exchange and waits for its answer, by the direct reply-to of RabbitMQ. Whoever consumes it
   * answers by `sendToQueue(properties.replyTo, answer, { correlationId: properties.correlationId })`.
   *
   * It waits as `publish` does until it is sent. If its channel is lost after that, it is sent again with `resend: true`, and
   * otherwise fails with an `AmqpError` of reason `Unanswered`. It fails with `Unroutable` if it matches no queue. How long to
   * wait for the answer is for an `Effect.timeout` to say; the answer of a call that was given up is for nobody.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly call: Call
  /**
   * The messages of a queue, across connections and channels: on each, it declares and consumes anew. The server sends no
   * more than `prefetch` that are not settled, so a consumer that is slow gets no more.
   *
   * It fails with an `AmqpError` only for what no waiting mends: of reason `Rejected` if the server refuses to declare or to
   * consume, and will again, and `Invalid` if it can't be asked. For a queue that is locked or in exclusive use, or whose node
   * is down, it waits.
   *
   * @throws InvalidOption if an option makes no sense
   */
  readonly consume: (queue: string, options?: ConsumeOptions) => Stream.Stream<AmqpMessage, AmqpError | ServiceEnd>
  /**
   * Whether the server takes no messages now, since it is short of memory or disk. `publish` waits meanwhile, and `consume`
   * as well, since the server reads no acknowledgements of this connection either. A server blocks, and tells, only
   * connections that publish.
   */
  readonly blocked: Subscribable.Subscribable<boolean>
}

/**
 * The type of `use`: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Use {
  <A>(
    f: (channel: ConfirmChannel) => Promise<A>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, AmqpError | ClientService.ConnectionLost | ServiceEnd>
  <A>(
    f: (channel: ConfirmChannel) => Promise<A>,
    options: ClientService.UseOptions | undefined
  ): Effect.Effect<A, AmqpError | ClientService.ConnectionLost | NotConnected | ServiceEnd>
}

/**
 * The type of `publish`: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Publish {
  (
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options?: PublishOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<void, AmqpError | ServiceEnd>
  (
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options: PublishOptions | undefined
  ): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd>
}

/**
 * The type of `sendToQueue`: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface SendToQueue {
  (
    queue: string,
    content: Uint8Array | string,
    options?: PublishOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<void, AmqpError | ServiceEnd>
  (
    queue: string,
    content: Uint8Array | string,
    options: PublishOptions | undefined
  ): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd>
}

/**
 * The type of `call`: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  (
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options?: CallOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<AmqpReply, AmqpError | ServiceEnd>
  (
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options: CallOptions | undefined
  ): Effect.Effect<AmqpReply, AmqpError | NotConnected | ServiceEnd>
}

/**
 * The properties of a message, and how it is published.
 *
 * @since 0.1.0
 * @category options
 */
export interface PublishOptions extends ClientOptions.Publish {
  /** Whether a durable queue keeps it when the server is started again. Default true. */
  readonly persistent?: boolean
  /**
   * Sends the message again if its channel is lost before the server has confirmed it. A queue may then have it twice: give
   * it a `messageId` for its consumer to know. If the server closed the channel since it refuses a message, which
   * may have been this one, it is sent on a channel of its own. Default false.
   */
  readonly resend?: boolean | undefined
  /**
   * How long to wait for a connection and a channel, and for a server that takes messages, together; 0 fails at once if it
   * can't be sent now. It does not bound the wait for the confirmation. With `resend`, a message that is to be sent again
   * waits so long once more, and is `Unconfirmed` if it can't be sent by then. Default: as long as it takes.
   */
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * The properties of a call, and how it is published: `mandatory` and not `persistent`, unless it says otherwise.
 *
 * @since 0.1.0
 * @category options
 */
export type CallOptions = Omit<PublishOptions, "correlationId" | "replyTo">

/**
 * @since 0.1.0
 * @category options
 */
export interface ConsumeOptions
  extends Pick<ClientOptions.Consume, "consumerTag" | "exclusive" | "priority" | "noLocal"> {
  /**
   * What else the server has for consumers, such as `x-stream-offset`. Of a stream, that is where it begins; on the next
   * channel, it goes on behind what is settled.
   */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined
  /**
   * Settles each message as it is handed out, so that it needs no `ack`, and is lost if what it is for fails. Unlike that of
   * the protocol, it has the server send no more than `prefetch` that were not handed out yet. Default false.
   */
  readonly noAck?: boolean | undefined
  /** How many messages may be without their settlement. From 1 to 65,535. Default 10. */
  readonly prefetch?: number | undefined
  /** Declares the queue, and what else has to be there, on each channel before it consumes. */
  readonly declare?: ((channel: Channel) => Promise<unknown>) | undefined
}

/**
 * The tag of a `Service`.
 *
 * @since 0.1.0
 * @category tags
 */
export class Amqp extends Context.Tag("effect-client-service-amqp/Amqp")<Amqp, Service>() {}

/**
 * Those of `ClientService` but for the heartbeat, which is the endpoint's: the server answers nothing while it is short of
 * memory, but goes on with the heartbeats of the protocol.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R1, R3, R4>
  extends Omit<
    ClientService.CommonOptions<
      AmqpConnection,
      ConnectFailure,
      Effect.Effect<unknown, AmqpError, R3 | Scope.Scope>,
      never,
      R4
    >,
    "heartbeat"
  > {
  /** Where to connect to, such as by `AmqpEndpoint.make`. */
  readonly endpoint: Endpoint.Endpoint<AmqpConnection, ConnectFailure, R1>
}

/**
 * Options of a service that a Layer makes.
 *
 * @since 0.1.0
 * @category options
 */
export interface LayerOptions<R1, R3, R4, W extends ClientService.WaitForConnection> extends Options<R1, R3, R4> {
  /** As `waitForConnection` of `ClientService.layer`. */
  readonly waitForConnection?: W | undefined
}

/**
 * Makes an AMQP service of a `ClientService`, such as one that `ClientServiceMap` has made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromService = (service: ClientService.ClientService<AmqpConnection, ConnectFailure>): Service => {
  const send: Send = makeSend(service)
  const alone = Effect.unsafeMakeSemaphore(1)
  function use<A>(
    f: (channel: ConfirmChannel) => Promise<A>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<A, AmqpError | ClientService.ConnectionLost | ServiceEnd>
  function use<A>(
    f: (channel: ConfirmChannel) => Promise<A>,
    options: ClientService.UseOptions | undefined
  ): Effect.Effect<A, AmqpError | ClientService.ConnectionLost | NotConnected | ServiceEnd>
  function use<A>(
    f: (channel: ConfirmChannel) => Promise<A>,
    options?: ClientService.UseOptions
  ): Effect.Effect<A, AmqpError | ClientService.ConnectionLost | NotConnected | ServiceEnd> {
    return service.use(
      (connection) =>
        Effect.catchAll(connection.use(f), (error) => (connection.hasEnded() ? forever : Effect.fail(error))),
      options
    )
  }
  function publish(
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options?: PublishOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<void, AmqpError | ServiceEnd>
  function publish(
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options: PublishOptions | undefined
  ): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd>
  function publish(
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    { maxWait = Duration.infinity, resend = false, ...properties }: PublishOptions = {}
  ): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd> {
    const wait = Validate.duration("Amqp.publish", "maxWait", maxWait)
    return send.message(
      { exchange, routingKey, content, properties: { persistent: true, ...properties } },
      resend,
      wait
    )
  }
  function sendToQueue(
    queue: string,
    content: Uint8Array | string,
    options?: PublishOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<void, AmqpError | ServiceEnd>
  function sendToQueue(
    queue: string,
    content: Uint8Array | string,
    options: PublishOptions | undefined
  ): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd>
  function sendToQueue(
    queue: string,
    content: Uint8Array | string,
    options?: PublishOptions
  ): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd> {
    return publish("", queue, content, options)
  }
  function call(
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options?: CallOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<AmqpReply, AmqpError | ServiceEnd>
  function call(
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    options: CallOptions | undefined
  ): Effect.Effect<AmqpReply, AmqpError | NotConnected | ServiceEnd>
  function call(
    exchange: string,
    routingKey: string,
    content: Uint8Array | string,
    { maxWait = Duration.infinity, resend = false, ...properties }: CallOptions = {}
  ): Effect.Effect<AmqpReply, AmqpError | NotConnected | ServiceEnd> {
    const wait = Validate.duration("Amqp.call", "maxWait", maxWait)
    const all = { persistent: false, mandatory: true, ...properties }
    return send.call({ exchange, routingKey, content, properties: all }, resend, wait)
  }
  return {
    service,
    use,
    publish,
    sendToQueue,
    call,
    consume: (queue, { declare, noAck = false, prefetch = 10, ...options } = {}) => {
      checkOffset(options.arguments?.["x-stream-offset"])
      const checked = Validate.integer("Amqp.consume", "prefetch", prefetch, 1, 65_535)
      return messages(service, { queue, prefetch: checked, declare, options, isAcknowledged: noAck }, alone)
    },
    blocked: blockedOf(service)
  }
}

/**
 * Makes an AMQP service in the Scope of the caller and starts it. It stops for good when the Scope closes.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <R1 = never, R3 = never, R4 = never>(
  options: Options<R1, R3, R4>
): Effect.Effect<Service, never, Scope.Scope | R1 | R3 | R4> =>
  ClientService.make(options).pipe(
    Effect.tap((service) => service.start),
    Effect.map(fromService)
  )

/**
 * Makes a Layer of an AMQP service, which connects when the Layer is built and stops when it is released.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
 *
 * const AmqpLive = Amqp.layer({ endpoint: AmqpEndpoint.make({ host: "rabbitmq.example.com" }) })
 *
 * const program = Effect.gen(function* () {
 *   const amqp = yield* Amqp.Amqp
 *   yield* amqp.use((channel) => channel.assertQueue("jobs"))
 *   yield* amqp.sendToQueue("jobs", "a job", { resend: true })
 * }).pipe(Effect.provide(AmqpLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption
 */
export const layer = <R1 = never, R3 = never, R4 = never, W extends ClientService.WaitForConnection = never>(
  options: LayerOptions<R1, R3, R4, W>
): Layer.Layer<Amqp, ClientService.WaitError<W, ConnectFailure>, R1 | Exclude<R3, Scope.Scope> | R4> =>
  DriverLayer.make("Amqp.layer", Amqp, make(options), options.waitForConnection)

/**
 * Makes a Layer of an AMQP service as `layer` does, with an endpoint that is read from the configuration. What makes no
 * sense there is a `ConfigError`.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { Amqp } from "effect-client-service-amqp"
 *
 * const AmqpLive = Amqp.layerConfig({ url: Config.redacted("AMQP_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption if one of `options` makes no sense
 */
export const layerConfig = <R3 = never, R4 = never, W extends ClientService.WaitForConnection = never>(
  server: Config.Config.Wrap<AmqpEndpoint.ServerOptions>,
  options?: Omit<LayerOptions<never, R3, R4, W>, "endpoint">
): Layer.Layer<
  Amqp,
  ConfigError.ConfigError | ClientService.WaitError<W, ConnectFailure>,
  Exclude<R3, Scope.Scope> | R4
> =>
  DriverLayer.config(server, AmqpEndpoint.make<never>, (endpoint) => layer<never, R3, R4, W>({ ...options, endpoint }))

// A server takes any other for an error of its own, and closes the connection for it, again and again.
const checkOffset = (offset: unknown): void => {
  if (offset === undefined || (Number.isSafeInteger(offset) && Number(offset) >= 0)) return
  if (Predicate.hasProperty(offset, "!") && offset["!"] === "timestamp") return
  if (typeof offset === "string" && /^(first|last|next|\d+[YMDhms])$/.test(offset)) return
  const expected = "first, last, next, an integer from 0 on, a timestamp, or an interval such as 12h"
  Validate.refuse("Amqp.consume", "arguments.x-stream-offset", offset, expected)
}

const blockedOf = ({
  protocol
}: ClientService.ClientService<AmqpConnection, ConnectFailure>): Subscribable.Subscribable<boolean> =>
  Subscribable.make({
    get: Effect.flatMap(
      protocol.get,
      Option.match({ onNone: () => Effect.succeed(false), onSome: ({ blocked }) => blocked.get })
    ),
    changes: protocol.changes.pipe(
      Stream.flatMap(Option.match({ onNone: () => Stream.make(false), onSome: ({ blocked }) => blocked.changes }), {
        switch: true
      }),
      Stream.changes
    )
  })
