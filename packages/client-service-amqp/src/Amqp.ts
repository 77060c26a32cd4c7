/**
 * Publishing with confirms, and consuming, over one AMQP connection that is kept alive.
 *
 * @since 0.1.0
 */
import type { Channel, Options as ClientOptions, ConfirmChannel } from "amqplib"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import * as ClientService from "effect-client-service/ClientService"
import type * as Endpoint from "effect-client-service/Endpoint"
import * as Validate from "effect-client-service-driver/Validate"
import type { AmqpConnection } from "./AmqpConnection.js"
import * as AmqpEndpoint from "./AmqpEndpoint.js"
import { AmqpError, fromChannelError } from "./AmqpError.js"
import type { AmqpMessage } from "./AmqpMessage.js"
import { messages } from "./internal/consumer.js"
import { forever } from "./internal/forever.js"
import type { Publication } from "./internal/publisher.js"

/**
 * What fails callers that wait when there is no connection and there will be none.
 *
 * @since 0.1.0
 * @category models
 */
export type ServiceEnd = ClientService.ServiceStopped | ClientService.RetriesExhausted<AmqpError>

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
  readonly service: ClientService.ClientService<AmqpConnection, AmqpError>
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
   * It waits for a connection and a channel as long as it is not sent. If its channel is lost after that, it is sent again
   * with `resend: true`, and otherwise fails with an `AmqpError` of reason `Unconfirmed`. It fails with `Nacked` if the
   * server says so, and with `Unroutable` if it is `mandatory` and there is no queue for it.
   *
   * With `maxWait`, it fails with `NotConnected` if there is no connection with a channel within that time. Then the message
   * was not sent.
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
   * The messages of a queue, across connections and channels: on each, it declares and consumes anew. The server sends no
   * more than `prefetch` that are not settled, so a consumer that is slow gets no more.
   *
   * It fails with an `AmqpError` of reason `Rejected` if the server refuses to declare or to consume.
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
  ): Effect.Effect<A, AmqpError | ClientService.ConnectionLost | ClientService.NotConnected<AmqpError> | ServiceEnd>
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
  ): Effect.Effect<void, AmqpError | ClientService.NotConnected<AmqpError> | ServiceEnd>
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
  ): Effect.Effect<void, AmqpError | ClientService.NotConnected<AmqpError> | ServiceEnd>
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
   * it a `messageId` for its consumer to know. It is not sent again if the server closed the channel since it refuses a
   * message, which may have been this one. Default false.
   */
  readonly resend?: boolean | undefined
  /**
   * How long to wait for a connection and a channel, together; 0 fails at once if there is none. It does not bound the wait
   * for the confirmation. With `resend`, a message that is to be sent again waits so long once more, and is `Unconfirmed` if
   * it can't be sent by then. Default: as long as it takes.
   */
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface ConsumeOptions extends Pick<ClientOptions.Consume, "consumerTag" | "exclusive" | "priority"> {
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
      AmqpError,
      Effect.Effect<unknown, AmqpError, R3 | Scope.Scope>,
      never,
      R4
    >,
    "heartbeat"
  > {
  /** Where to connect to, such as by `AmqpEndpoint.make`. */
  readonly endpoint: Endpoint.Endpoint<AmqpConnection, AmqpError, R1>
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
export const fromService = (service: ClientService.ClientService<AmqpConnection, AmqpError>): Service => {
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
    return Effect.suspend(() =>
      send(service, resend, wait, {
        exchange,
        routingKey,
        content: Buffer.from(content),
        properties: { persistent: true, ...properties }
      })
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
  return {
    service,
    use,
    publish,
    sendToQueue,
    consume: (queue, { declare, prefetch = 10, ...options } = {}) =>
      messages(service, {
        queue,
        prefetch: Validate.integer("Amqp.consume", "prefetch", prefetch, 1, 65_535),
        declare,
        options
      }),
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
): Layer.Layer<Amqp, ClientService.WaitError<W, AmqpError>, R1 | Exclude<R3, Scope.Scope> | R4> =>
  Layer.provide(Layer.effect(Amqp, Effect.map(Connection, fromService)), connectionLayer(options))

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
  ConfigError.ConfigError | ClientService.WaitError<W, AmqpError>,
  Exclude<R3, Scope.Scope> | R4
> => {
  const endpoint = Config.unwrap(server).pipe(Config.mapAttempt((server) => AmqpEndpoint.make(server)))
  return Layer.unwrapEffect(Effect.map(endpoint, (endpoint) => layer<never, R3, R4, W>({ ...options, endpoint })))
}

class Connection extends Context.Tag("effect-client-service-amqp/Amqp/Connection")<
  Connection,
  ClientService.ClientService<AmqpConnection, AmqpError>
>() {}

const connectionLayer = <R1, R3, R4, W extends ClientService.WaitForConnection>(options: LayerOptions<R1, R3, R4, W>) =>
  ClientService.layer(Connection, options)

type NotConnected = ClientService.NotConnected<AmqpError>

const send = (
  service: ClientService.ClientService<AmqpConnection, AmqpError>,
  resend: boolean,
  maxWait: Duration.Duration,
  publication: Publication
): Effect.Effect<void, AmqpError | NotConnected | ServiceEnd> =>
  Effect.clockWith((clock) => {
    // Not the wall clock, which somebody may set.
    const now = () => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
    const until = now() + Duration.toMillis(maxWait)
    const left = () => ({ maxWait: Math.max(0, until - now()) })
    let isSent = false
    const onSent = (): void => {
      isSent = true
    }
    const once: Effect.Effect<void, AmqpError | NotConnected | ServiceEnd> = Effect.suspend(() =>
      // Without a fiber, since it is a promise: messages are many.
      service.usePromise(
        {
          try: (connection) => connection.publish(publication, onSent),
          catch: (error) => (error instanceof AmqpError ? error : fromChannelError(error, service.name))
        },
        left()
      )
    ).pipe(
      Effect.catchAll((error) => {
        if (!isLoss(error)) return error
        if (!isSent) return Effect.zipRight(untilOpen(service, left), once)
        const [endpoint, detail] = [service.name, detailOf(error)]
        const unconfirmed = new AmqpError({ reason: "Unconfirmed", endpoint, detail, cause: error })
        if (!resend || isRefusalOfMessage(error)) return unconfirmed
        // The server may have it.
        return Effect.catchTag(send(service, resend, maxWait, publication), "NotConnected", () => unconfirmed)
      })
    )
    // What was left of the time is not what the caller has given.
    return Effect.catchTag(
      once,
      "NotConnected",
      ({ service, state }) => new ClientService.NotConnected({ service, state, maxWait })
    )
  })

/** Waits for a connection with a channel for messages. */
const untilOpen = (
  service: ClientService.ClientService<AmqpConnection, AmqpError>,
  left: () => ClientService.UseOptions
): Effect.Effect<void, NotConnected | ServiceEnd> =>
  service
    .use(
      ({ publisher }) =>
        // The channel ends with its connection, whose loss tells more.
        Effect.catchTags(
          publisher.use(() => Effect.void, left()),
          { ServiceStopped: () => forever, RetriesExhausted: () => forever }
        ),
      left()
    )
    .pipe(Effect.catchTag("ConnectionLost", () => untilOpen(service, left)))

const isLoss = (
  error: AmqpError | ClientService.ConnectionLost | NotConnected | ServiceEnd
): error is AmqpError | ClientService.ConnectionLost =>
  error._tag === "ConnectionLost" || (error._tag === "AmqpError" && error.reason === "ChannelClosed")

const detailOf = (error: AmqpError | ClientService.ConnectionLost): string | undefined =>
  error._tag === "AmqpError" ? error.detail : error.message

// The server tells the method that it refuses, by its class and number, but not the message.
const isRefusalOfMessage = ({ _tag, cause }: AmqpError | ClientService.ConnectionLost): boolean => {
  if (_tag !== "AmqpError") return false
  if (!(cause instanceof Error && "classId" in cause && "methodId" in cause)) return false
  return cause.classId === 60 && cause.methodId === 40
}

const blockedOf = ({
  protocol
}: ClientService.ClientService<AmqpConnection, AmqpError>): Subscribable.Subscribable<boolean> =>
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
