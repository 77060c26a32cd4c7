/**
 * `@effect/rpc` over the connection of a `ClientService`.
 *
 * @since 0.1.0
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as RpcClient from "@effect/rpc/RpcClient"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import { RpcSerialization } from "@effect/rpc/RpcSerialization"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ClientService from "effect-client-service/ClientService"
import type { ConnectionSignal, Endpoint } from "effect-client-service/Endpoint"
import * as Incoming from "effect-client-service/Incoming"
import type { Transport, TransportError } from "effect-client-service/Transport"
import type * as DriverLayer from "effect-client-service-driver/DriverLayer"
import * as Validate from "effect-client-service-driver/Validate"
import type { CallError } from "./internal/call.js"
import { callers } from "./internal/callers.js"
import { connectionsOf } from "./internal/connections.js"
import { Exchange } from "./internal/exchange.js"
import type { Limits } from "./internal/outbox.js"
import { type Begin, defaults, protocolOver, type Use } from "./internal/protocol.js"
import type { RpcConnectionError } from "./RpcConnectionError.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("effect-client-service-rpc/RpcConnection")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * One connection that carries `@effect/rpc`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RpcConnection {
  readonly [TypeId]: TypeId
  /**
   * Asks the server for a sign of life, and waits for it. Fails with a `TransportError` if the connection closes before
   * that.
   */
  readonly ping: Effect.Effect<void, TransportError>
  /** @internal */
  readonly exchange: Exchange
}

/**
 * Makes a connection that carries `@effect/rpc` of a transport, as the `protocol` of a `ClientService`.
 *
 * A `RpcSerialization` that has no framing of its own, such as `json`, needs a transport that keeps messages apart, as a
 * WebSocket does.
 *
 * @example
 * ```ts
 * import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
 * import { Layer, Schema } from "effect"
 * import { ClientService } from "effect-client-service"
 * import { type ConnectError, NodeEndpoint } from "effect-client-service-node"
 * import { RpcConnection, type RpcConnectionError } from "effect-client-service-rpc"
 *
 * class Rates extends RpcGroup.make(Rpc.make("Rate", { payload: { currency: Schema.String }, success: Schema.Number })) {}
 *
 * class Server extends ClientService.Tag("app/Server")<
 *   Server,
 *   RpcConnection.RpcConnection,
 *   ConnectError.ConnectError | RpcConnectionError.RpcConnectionError
 * >() {}
 *
 * const ServerLive = Server.layer({
 *   endpoint: NodeEndpoint.tcp({ host: "rates.example.com", port: 4000 }),
 *   protocol: RpcConnection.make,
 *   heartbeat: RpcConnection.heartbeat()
 * })
 *
 * const client = RpcClient.make(Rates)
 *
 * const ProtocolLive = RpcConnection.layerProtocol(Server).pipe(
 *   Layer.provideMerge(ServerLive),
 *   Layer.provide(RpcSerialization.layerNdjson)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  transport: Transport,
  signal: ConnectionSignal<RpcConnectionError>
): Effect.Effect<RpcConnection, never, RpcSerialization | Scope.Scope> =>
  Effect.gen(function* () {
    const answers = yield* Incoming.answers(() => exchange.asking())
    const runtime = yield* Effect.runtime<never>()
    const exchange: Exchange = new Exchange(yield* RpcSerialization, transport, runtime, signal, answers)
    yield* Effect.addFinalizer(() => Effect.sync(() => exchange.close()))
    yield* Effect.forkScoped(Effect.interruptible(exchange.sending))
    yield* Effect.forkScoped(Effect.interruptible(exchange.receive))
    return { [TypeId]: TypeId, ping: exchange.ping, exchange }
  })

/**
 * Probes a connection by its `ping`, as the `heartbeat` of a `ClientService`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const heartbeat = (options?: {
  /** How long after the connection is up, or the last answer, the next ping is due. Default 10 seconds. */
  readonly interval?: Duration.DurationInput | undefined
  /** How long an answer may take. Default 10 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
}): ClientService.Heartbeat<RpcConnection, Effect.Effect<unknown, TransportError>> => ({
  probe: (connection) => connection.ping,
  // It answers in order, and may be at a long answer.
  lastReceived: ({ exchange }) => exchange.lastReceived,
  interval: options?.interval ?? "10 seconds",
  timeout: options?.timeout ?? "10 seconds"
})

/**
 * Makes a client of this connection alone, for `prepare`: to authenticate on a connection that nobody has yet. It is of
 * no use once the connection is closed: its calls fail with a `RpcClientError` then.
 *
 * @example
 * ```ts
 * import { Rpc, RpcGroup } from "@effect/rpc"
 * import { Effect, Redacted, Schema } from "effect"
 * import { RpcConnection } from "effect-client-service-rpc"
 *
 * class Api extends RpcGroup.make(Rpc.make("Login", { payload: { token: Schema.Redacted(Schema.String) } })) {}
 *
 * const prepare = (connection: RpcConnection.RpcConnection) =>
 *   Effect.flatMap(RpcConnection.client(connection, Api), (client) => client.Login({ token: Redacted.make("secret") }))
 * ```
 *
 * @since 0.1.0
 * @category clients
 */
export const client = <Rpcs extends Rpc.Any>(connection: RpcConnection, group: RpcGroup.RpcGroup<Rpcs>) =>
  Effect.suspend(() => {
    const { generateRequestId, take } = callers()
    const use: Use = (begin) =>
      Effect.suspend(() => {
        let end: ReturnType<Begin>
        const answered = Effect.async<void, CallError>((resume) => {
          end = begin(connection.exchange, resume)
        })
        return Effect.onInterrupt(answered, () => Effect.sync(() => end?.(false)))
      })
    return Effect.provideService(
      RpcClient.make(group, { generateRequestId }),
      RpcClient.Protocol,
      protocolOver(use, defaults, take)
    )
  })

/**
 * @since 0.1.0
 * @category options
 */
export interface ProtocolOptions {
  /**
   * How long a call waits for a connection: one that has none by then fails with a `RpcClientError` whose cause is a
   * `NotConnected`, and 0 has it fail at once. It does not bound the call itself. Default: as long as it takes.
   */
  readonly maxWait?: Duration.DurationInput | undefined
  /**
   * How many messages may wait to be sent on a connection whose server does not read them; beyond that, a call fails at once with
   * a `RpcClientError` whose cause is an `Overloaded`. Default 100,000.
   */
  readonly maxWaiting?: number | undefined
  /**
   * How many bytes of them may wait; of text, how many characters. A call that begins with room may be of any size. Default 64
   * MiB.
   */
  readonly maxWaitingBytes?: number | undefined
}

/**
 * Makes the protocol of `RpcClient` over the connections of a service, for any number of clients.
 *
 * A call is sent once, on one connection. It fails with a `RpcClientError` of reason `Protocol` whose `cause` tells why:
 *
 * - `ConnectionLost`: the connection was lost before the answer. The server may have run the call, or may not.
 * - `ServiceStopped` or `RetriesExhausted`: the service is stopped or has given up. The call was not sent.
 * - `NotConnected`: there was no connection within `maxWait`; its `state` is what the service was doing. The call was not
 *   sent.
 * - `Overloaded`: too many calls wait to be sent. The call was not sent.
 * - `TooLarge`: the call is larger than the buffer of the serialization. The call was not sent.
 * - `CallInterrupted`: the server interrupted the call, as one does that is stopped.
 *
 * A call with `discard: true` completes when the server has answered it.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const makeProtocol = <E>(
  service: ClientService.ClientService<RpcConnection, E>,
  options?: ProtocolOptions
): RpcClient.Protocol["Type"] => {
  const where = "RpcConnection.makeProtocol"
  return protocolOver(connectionsOf(service, maxWaitOf(where, options)), limitsOf(where, options))
}

/**
 * Makes a Layer of the protocol of `RpcClient` over the connections of a service, as `makeProtocol` does.
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption
 */
export const layerProtocol = <Id, E>(
  tag: Context.Tag<Id, ClientService.ClientService<RpcConnection, E>>,
  options?: ProtocolOptions
): Layer.Layer<RpcClient.Protocol, never, Id> => {
  maxWaitOf("RpcConnection.layerProtocol", options)
  limitsOf("RpcConnection.layerProtocol", options)
  return Layer.effect(
    RpcClient.Protocol,
    Effect.map(tag, (service) => makeProtocol(service, options))
  )
}

/**
 * @since 0.1.0
 * @category options
 */
export interface LayerOptions<E1, R1, E3, R3, R4, E4, R5, W extends ClientService.WaitForConnection>
  extends ProtocolOptions,
    Omit<
      ClientService.CommonOptions<
        RpcConnection,
        E1 | RpcConnectionError | E3 | E4,
        Effect.Effect<unknown, E3, R3 | Scope.Scope>,
        Effect.Effect<unknown, E4, R5>,
        R4
      >,
      "heartbeat"
    > {
  /**
   * When the connection is probed by its `ping`: 10 seconds after the last answer, for 10 seconds, by default. Or by what, as
   * of a `ClientService`; or `false` for not at all.
   */
  readonly heartbeat?:
    | ClientService.Heartbeat<RpcConnection, Effect.Effect<unknown, E4, R5>>
    | DriverLayer.Heartbeat
    | undefined
  /** Where to connect to. */
  readonly endpoint: Endpoint<Transport, E1, R1>
  /** As `waitForConnection` of `ClientService.layer`. */
  readonly waitForConnection?: W | undefined
}

/**
 * Makes a Layer of the protocol of `RpcClient` and of the service under it, for when nobody else needs the service. By
 * default its `heartbeat` is that of `RpcConnection.heartbeat()`.
 *
 * @example
 * ```ts
 * import { RpcSerialization } from "@effect/rpc"
 * import { Layer } from "effect"
 * import { NodeEndpoint } from "effect-client-service-node"
 * import { RpcConnection } from "effect-client-service-rpc"
 *
 * const ProtocolLive = RpcConnection.layer({
 *   endpoint: NodeEndpoint.tcp({ host: "rates.example.com", port: 4000 }),
 *   maxWait: "2 seconds"
 * }).pipe(Layer.provide(RpcSerialization.layerMsgPack))
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption
 */
export const layer = <
  E1,
  R1,
  E3 = never,
  R3 = never,
  R4 = never,
  E4 = never,
  R5 = never,
  W extends ClientService.WaitForConnection = never
>(
  options: LayerOptions<E1, R1, E3, R3, R4, E4, R5, W>
): Layer.Layer<
  RpcClient.Protocol,
  ClientService.WaitError<W, E1 | RpcConnectionError | E3 | E4>,
  RpcSerialization | R1 | Exclude<R3, Scope.Scope> | R4 | R5
> => {
  type E = E1 | RpcConnectionError | E3 | E4
  const tag = Context.GenericTag<Service, ClientService.ClientService<RpcConnection, E>>(TypeId.toString())
  const service = ClientService.layer(tag, { ...options, protocol: make, heartbeat: heartbeatOf(options.heartbeat) })
  return Layer.provide(layerProtocol(tag, options), service)
}

/**
 * Makes a Layer as `layer` does, with an endpoint that is read from the configuration. What makes no sense there is a
 * `ConfigError`.
 *
 * @example
 * ```ts
 * import { RpcSerialization } from "@effect/rpc"
 * import { Config, Layer } from "effect"
 * import { NodeEndpoint } from "effect-client-service-node"
 * import { RpcConnection } from "effect-client-service-rpc"
 *
 * const server = Config.all({ host: Config.string("RATES_HOST"), port: Config.integer("RATES_PORT") })
 *
 * const ProtocolLive = RpcConnection.layerConfig(Config.mapAttempt(server, NodeEndpoint.tcp)).pipe(
 *   Layer.provide(RpcSerialization.layerMsgPack)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption if one of `options` makes no sense
 */
export const layerConfig = <
  E1,
  R1,
  E3 = never,
  R3 = never,
  R4 = never,
  E4 = never,
  R5 = never,
  W extends ClientService.WaitForConnection = never
>(
  endpoint: Config.Config<Endpoint<Transport, E1, R1>>,
  options?: Omit<LayerOptions<E1, R1, E3, R3, R4, E4, R5, W>, "endpoint">
): Layer.Layer<
  RpcClient.Protocol,
  ConfigError.ConfigError | ClientService.WaitError<W, E1 | RpcConnectionError | E3 | E4>,
  RpcSerialization | R1 | Exclude<R3, Scope.Scope> | R4 | R5
> =>
  Layer.unwrapEffect(Effect.map(endpoint, (endpoint) => layer<E1, R1, E3, R3, R4, E4, R5, W>({ ...options, endpoint })))

const heartbeatOf = <E4, R5>(
  given: ClientService.Heartbeat<RpcConnection, Effect.Effect<unknown, E4, R5>> | DriverLayer.Heartbeat | undefined
): ClientService.Heartbeat<RpcConnection, Effect.Effect<unknown, E4 | TransportError, R5>> | undefined => {
  if (given === false) return undefined
  return given !== undefined && "probe" in given ? given : heartbeat(given)
}

interface Service {
  readonly _: unique symbol
}

const limitsOf = (where: string, options: ProtocolOptions | undefined): Limits => ({
  maxWaiting: Validate.integer(where, "maxWaiting", options?.maxWaiting ?? defaults.maxWaiting, 0),
  maxWaitingBytes: Validate.integer(where, "maxWaitingBytes", options?.maxWaitingBytes ?? defaults.maxWaitingBytes, 0)
})

const maxWaitOf = (where: string, options: ProtocolOptions | undefined): Duration.Duration | undefined =>
  options?.maxWait === undefined ? undefined : Validate.duration(where, "maxWait", options.maxWait)
