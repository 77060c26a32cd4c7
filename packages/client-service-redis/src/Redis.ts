/**
 * Commands, pipelines and transactions over one connection that is kept alive, and subscriptions over another beside it.
 *
 * @since 0.1.0
 */
import type { RedisArgument } from "@redis/client"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import type * as Endpoint from "effect-client-service/Endpoint"
import * as DriverLayer from "effect-client-service-driver/DriverLayer"
import type * as Gaps from "effect-client-service-driver/Gaps"
import * as Places from "effect-client-service-driver/Places"
import * as Validate from "effect-client-service-driver/Validate"
import * as groupReader from "./internal/groupReader.js"
import { messages } from "./internal/messages.js"
import { onOwn } from "./internal/onOwn.js"
import { notReadyAnyLonger, ping } from "./internal/ping.js"
import { watched, withSession } from "./internal/session.js"
import type { Kind } from "./internal/subscriptions.js"
import type { Client, RedisConnection, Session } from "./RedisConnection.js"
import * as RedisEndpoint from "./RedisEndpoint.js"
import { type ConnectFailure, RedisError } from "./RedisError.js"

/**
 * All that a command can fail with.
 *
 * - `RedisError`: the server or the client refused it.
 * - `ConnectionLost`: the connection was lost before the answer. It may have been run, or may not, and is not sent again.
 * - `ServiceStopped` and `RetriesExhausted`: there is no connection and there will be none. It was not sent.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandError = RedisError | ClientService.ConnectionLost | ServiceEnd

/**
 * What can end a subscription, apart from what the server refuses it with.
 *
 * @since 0.1.0
 * @category models
 */
export type ServiceEnd = ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>

/**
 * What was published to a channel.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message<out Body = string> {
  readonly channel: string
  readonly message: Body
}

/**
 * What was published to a channel whose name matches a pattern.
 *
 * @since 0.1.0
 * @category models
 */
export interface PatternMessage<out Body = string> extends Message<Body> {
  readonly pattern: string
}

/**
 * Redis over one connection that is kept alive.
 *
 * While there is no connection, callers wait for one. Nothing of theirs is queued, so whoever is interrupted, or is given
 * a timeout, leaves nothing behind.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The service under it: its state, its connections, `reconnect` and `stop`. */
  readonly service: ClientService.ClientService<RedisConnection, ConnectFailure>
  /**
   * Waits for a connection and runs commands on its client, once. If the connection is lost before they are answered,
   * fails with `ConnectionLost`. A command of a caller that is interrupted is not sent if it was not yet.
   *
   * A command that keeps back its answer, such as `BLPOP`, has a connection of its own meanwhile, and is ended on the server
   * when its caller is interrupted. What the server had just given it by then is lost with it.
   *
   * A command that is not for one of several callers, such as `SELECT` or `WATCH`, fails with a `RedisError` of reason
   * `Session`.
   *
   * With `maxWait`, fails with `NotConnected` if there is no connection within that time; the answer may take as long as it
   * takes. So do the others with theirs.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly use: Use
  /**
   * Sends one command, for those that the client has no method of, such as `redis.command("OBJECT", ["FREQ", "key"])`, and
   * gives the server's answer as it is.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly command: SendCommand
  /**
   * Sends several commands at once and gives their answers; or fails as the first of them that does. The others are run
   * all the same.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly pipeline: Pipeline
  /**
   * Runs several commands as one (`MULTI` and `EXEC`) and gives their answers. After `ConnectionLost`, either all were run
   * or none.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly transaction: Transaction
  /**
   * Reads, and then runs several commands as one if none of the keys has changed meanwhile (`WATCH`), on a connection of its
   * own. Fails with a `RedisError` of reason `Conflict` if one has: nothing was written, and whoever wants to tries again.
   *
   * @throws InvalidOption if there is no key, or `maxWait` is no duration of zero or more
   */
  readonly watch: Watch
  /**
   * Has a connection of its own for as long as an Effect runs, with a client that refuses nothing: for `MONITOR`, `WAIT`,
   * `CLIENT TRACKING` and the like. It is closed when the Effect ends, and the Effect is interrupted, and fails with
   * `ConnectionLost`, when it is lost.
   *
   * There are no more than `maxSessions` at a time; other callers wait, no longer than `maxWait`, and fail then with a `RedisError`
   * of reason `Overloaded`, as they do at once where `maxWaiting` of the endpoint wait, or with `ServiceStopped` as soon as a stop
   * begins.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly session: UseSession
  /**
   * What is published to channels, across connections: on each, it subscribes anew. It fails with what the server refuses
   * the subscription with.
   *
   * @throws InvalidOption if there is no channel, or an option makes no sense
   */
  readonly subscribe: <Subscribed = never, Gap = never, Bytes extends boolean = false>(
    channels: string | ReadonlyArray<string>,
    options?: SubscribeOptions<Subscribed, Gap, Bytes>
  ) => Stream.Stream<Message<Body<Bytes>> | Subscribed | Gap, RedisError | ServiceEnd>
  /**
   * What is published to channels whose names match patterns such as `news.*`, as `subscribe` has it.
   *
   * @throws InvalidOption if there is no pattern, or an option makes no sense
   */
  readonly psubscribe: <Subscribed = never, Gap = never, Bytes extends boolean = false>(
    patterns: string | ReadonlyArray<string>,
    options?: SubscribeOptions<Subscribed, Gap, Bytes>
  ) => Stream.Stream<PatternMessage<Body<Bytes>> | Subscribed | Gap, RedisError | ServiceEnd>
  /**
   * What is published to sharded channels (`SPUBLISH`, of Redis 7), as `subscribe` has it.
   *
   * @throws InvalidOption if there is no channel, or an option makes no sense
   */
  readonly ssubscribe: <Subscribed = never, Gap = never, Bytes extends boolean = false>(
    channels: string | ReadonlyArray<string>,
    options?: SubscribeOptions<Subscribed, Gap, Bytes>
  ) => Stream.Stream<Message<Body<Bytes>> | Subscribed | Gap, RedisError | ServiceEnd>
  /**
   * The entries of a stream that a consumer of a group is given (`XREADGROUP`), on a connection of its own, across connections.
   * First come those that the consumer was given before and has not acknowledged, such as before a crash, then new ones. What
   * was on its way when a connection was lost, or the consumer was interrupted, comes again.
   *
   * Each entry is handed out once, and until it is acknowledged once more to the next stream of this consumer. It reads no more
   * than `count` entries ahead. Two streams at a time must be two consumers. It fails with what the server refuses to read by,
   * such as `NOGROUP` or `WRONGTYPE`.
   *
   * @example
   * ```ts
   * import { Console, Effect, Stream } from "effect"
   * import { Redis } from "effect-client-service-redis"
   *
   * const worker = Effect.flatMap(Redis.Redis, (redis) =>
   *   redis
   *     .readGroup({ stream: "orders", group: "billing", consumer: "billing-1", startId: "0" })
   *     .pipe(Stream.runForEach(({ ack, fields }) => Effect.zipRight(Console.log(fields["customer"]), ack)))
   * )
   * ```
   *
   * @throws InvalidOption if an option makes no sense
   */
  readonly readGroup: <Bytes extends boolean = false>(
    options: ReadGroupOptions<Bytes>
  ) => Stream.Stream<GroupEntry<Body<Bytes>>, RedisError | ServiceEnd>
}

/**
 * What was added to a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface GroupEntry<out Body = string> {
  /** Such as `1526919030474-55`. */
  readonly id: string
  /** Of a name that was given several times, the last value. */
  readonly fields: Readonly<Record<string, Body>>
  /**
   * Has the server forget that the consumer has it (`XACK`), on the connection of the moment. It is sent again if the connection
   * is lost before the answer. With `noAck`, does nothing.
   */
  readonly ack: Effect.Effect<void, RedisError | ServiceEnd>
}

/**
 * @since 0.1.0
 * @category options
 */
export interface ReadGroupOptions<Bytes extends boolean = boolean> {
  /** The key of the stream. */
  readonly stream: string
  readonly group: string
  /** The name of the consumer, which has to be the same after a restart to get what it has not acknowledged. */
  readonly consumer: string
  /**
   * After which entry the group begins if it is not there yet, and is made (`XGROUP CREATE`) together with the stream: `0` for
   * all that the stream has, `$` for what is added from then on, or an id. If it is lost later, it begins after what was last
   * handed out. Default: it is not made, and the stream fails (`NOGROUP`).
   */
  readonly startId?: string | undefined
  /** How many entries one read may give. Default 10. */
  readonly count?: number | undefined
  /** How long a read waits on the server for a new entry, before the next. Default 5 seconds. */
  readonly block?: Duration.DurationInput | undefined
  /** How much longer than `block` nothing of its answer may come until its connection is taken for lost. Default 5 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * Whether the server takes entries for acknowledged when it gives them (`NOACK`): one whose answer is lost does not come
   * again. Default false.
   */
  readonly noAck?: boolean | undefined
  /** Whether the values are given as the bytes that they are, instead of being read as UTF-8. Default false. */
  readonly bytes?: Bytes | undefined
}

/**
 * What a message is, by the option `bytes`.
 *
 * @since 0.1.0
 * @category models
 */
export type Body<Bytes extends boolean> = Bytes extends true ? Uint8Array : string

/**
 * The type of `use`. This and the types after it fail with `NotConnected` only if they are told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Use {
  <A>(f: (client: Client) => Promise<A>, options?: Unbounded): Effect.Effect<A, CommandError>
  <A>(f: (client: Client) => Promise<A>, options: MaybeBounded): Effect.Effect<A, CommandError | NotConnected>
}

/**
 * The type of `command`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SendCommand {
  (name: string, args?: Arguments, options?: Unbounded): Effect.Effect<unknown, CommandError>
  (name: string, args: Arguments, options: MaybeBounded): Effect.Effect<unknown, CommandError | NotConnected>
}

/**
 * The type of `pipeline`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pipeline {
  <A>(f: (client: Client) => CanPipeline<A>, options?: Unbounded): Effect.Effect<A, CommandError>
  <A>(f: (client: Client) => CanPipeline<A>, options: MaybeBounded): Effect.Effect<A, CommandError | NotConnected>
}

/**
 * The type of `transaction`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transaction {
  <A>(f: (client: Client) => CanExec<A>, options?: Unbounded): Effect.Effect<A, CommandError>
  <A>(f: (client: Client) => CanExec<A>, options: MaybeBounded): Effect.Effect<A, CommandError | NotConnected>
}

/**
 * The type of `watch`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watch {
  <A, B>(
    keys: RedisArgument | ReadonlyArray<RedisArgument>,
    read: (client: Client) => Promise<A>,
    write: (client: Client, value: A) => CanExec<B>,
    options?: Unbounded
  ): Effect.Effect<B, CommandError>
  <A, B>(
    keys: RedisArgument | ReadonlyArray<RedisArgument>,
    read: (client: Client) => Promise<A>,
    write: (client: Client, value: A) => CanExec<B>,
    options: MaybeBounded
  ): Effect.Effect<B, CommandError | NotConnected>
}

/**
 * The type of `session`.
 *
 * @since 0.1.0
 * @category models
 */
export interface UseSession {
  <A, E, R>(f: (session: Session) => Effect.Effect<A, E, R>, options?: Unbounded): Effect.Effect<A, E | CommandError, R>
  <A, E, R>(
    f: (session: Session) => Effect.Effect<A, E, R>,
    options: MaybeBounded
  ): Effect.Effect<A, E | CommandError | NotConnected, R>
}

/**
 * There was no connection within `maxWait`. Nothing was sent.
 *
 * @since 0.1.0
 * @category models
 */
export type NotConnected = ClientService.NotConnected<ConnectFailure>

interface Unbounded {
  readonly maxWait?: undefined
}

type MaybeBounded = ClientService.UseOptions | undefined

type BoundedError = CommandError | NotConnected

type Arguments = ReadonlyArray<RedisArgument> | undefined

interface CanPipeline<Replies> {
  readonly execAsPipelineTyped: () => Promise<Replies>
}

interface CanExec<Replies> {
  readonly execTyped: () => Promise<Replies>
}

/**
 * @since 0.1.0
 * @category options
 */
export interface SubscribeOptions<Subscribed, Gap, Bytes extends boolean = boolean>
  extends Gaps.Options<Subscribed, Gap> {
  /** Whether messages are given as the bytes that they are, instead of being read as UTF-8. Default false. */
  readonly bytes?: Bytes | undefined
  /**
   * How many messages wait for a consumer that is slow. When there are as many, those that come are dropped until the
   * consumer has taken all of them. Default 10,000.
   */
  readonly bufferSize?: number | undefined
}

/**
 * The tag of a `Service`.
 *
 * @since 0.1.0
 * @category tags
 */
export class Redis extends Context.Tag("effect-client-service-redis/Redis")<Redis, Service>() {}

/**
 * Those of `ClientService` but for the heartbeat, which is a `PING` here.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R1, R3, R4>
  extends Omit<
    ClientService.CommonOptions<
      RedisConnection,
      ConnectFailure,
      Effect.Effect<unknown, RedisError, R3 | Scope.Scope>,
      never,
      R4
    >,
    "heartbeat"
  > {
  /** Where to connect to, such as by `RedisEndpoint.make`. */
  readonly endpoint: Endpoint.Endpoint<RedisConnection, ConnectFailure, R1>

  /**
   * How often a `PING` is sent, 10 seconds by default, and how long its answer may take, 5 seconds by default; or `false`
   * for none. A command that blocks, such as `BLPOP`, keeps its answer back, so it needs a connection of its own.
   */
  readonly heartbeat?: DriverLayer.Heartbeat | undefined

  /**
   * How many `session`s there may be at a time. Beyond that, callers wait, and one within another waits for ever if all are such.
   * Default 10.
   */
  readonly maxSessions?: number | undefined
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
 * Makes Redis of a service, such as one that `ClientServiceMap` has made.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `maxSessions` is no integer of at least 1
 */
export const fromService = (
  service: ClientService.ClientService<RedisConnection, ConnectFailure>,
  { maxSessions = 10 }: Pick<Options<never, never, never>, "maxSessions"> = {}
): Service => {
  const places = Places.make(
    Validate.integer("Redis.fromService", "maxSessions", maxSessions, 1),
    service,
    ({ calls }) => calls.maxWaiting
  )
  function use<A>(f: (client: Client) => Promise<A>, options?: Unbounded): Effect.Effect<A, CommandError>
  function use<A>(f: (client: Client) => Promise<A>, options: MaybeBounded): Effect.Effect<A, BoundedError>
  function use<A>(f: (client: Client) => Promise<A>, options: MaybeBounded): Effect.Effect<A, BoundedError> {
    return service.useAsync<A, RedisError | ClientService.ConnectionLost>(
      ({ calls }, resume) => calls.begin(f, resume),
      options
    )
  }
  function command(name: string, args?: Arguments, options?: Unbounded): Effect.Effect<unknown, CommandError>
  function command(name: string, args: Arguments, options: MaybeBounded): Effect.Effect<unknown, BoundedError>
  function command(name: string, args: Arguments = [], options: MaybeBounded): Effect.Effect<unknown, BoundedError> {
    return use((client) => client.sendCommand<unknown>([name, ...args]), options)
  }
  function pipeline<A>(f: (client: Client) => CanPipeline<A>, options?: Unbounded): Effect.Effect<A, CommandError>
  function pipeline<A>(f: (client: Client) => CanPipeline<A>, options: MaybeBounded): Effect.Effect<A, BoundedError>
  function pipeline<A>(f: (client: Client) => CanPipeline<A>, options: MaybeBounded): Effect.Effect<A, BoundedError> {
    return use((client) => f(client).execAsPipelineTyped(), options)
  }
  function transaction<A>(f: (client: Client) => CanExec<A>, options?: Unbounded): Effect.Effect<A, CommandError>
  function transaction<A>(f: (client: Client) => CanExec<A>, options: MaybeBounded): Effect.Effect<A, BoundedError>
  function transaction<A>(f: (client: Client) => CanExec<A>, options: MaybeBounded): Effect.Effect<A, BoundedError> {
    return use((client) => f(client).execTyped(), options)
  }
  function session<A, E, R>(
    f: (session: Session) => Effect.Effect<A, E, R>,
    options?: Unbounded
  ): Effect.Effect<A, E | CommandError, R>
  function session<A, E, R>(
    f: (session: Session) => Effect.Effect<A, E, R>,
    options: MaybeBounded
  ): Effect.Effect<A, E | BoundedError, R>
  function session<A, E, R>(f: (session: Session) => Effect.Effect<A, E, R>, options: MaybeBounded) {
    const maxWait = Validate.duration("Redis.session", "maxWait", options?.maxWait ?? Duration.infinity)
    return places.use(
      (connection) => withSession(connection, service.name, f),
      maxWait,
      ({ endpoint }, why) => {
        const detail = why === "full" ? "maxWaiting wait for a session" : "maxSessions are open"
        return new RedisError({ reason: "Overloaded", endpoint, detail })
      }
    )
  }
  function watch<A, B>(
    keys: RedisArgument | ReadonlyArray<RedisArgument>,
    read: (client: Client) => Promise<A>,
    write: (client: Client, value: A) => CanExec<B>,
    options?: Unbounded
  ): Effect.Effect<B, CommandError>
  function watch<A, B>(
    keys: RedisArgument | ReadonlyArray<RedisArgument>,
    read: (client: Client) => Promise<A>,
    write: (client: Client, value: A) => CanExec<B>,
    options: MaybeBounded
  ): Effect.Effect<B, BoundedError>
  function watch<A, B>(
    keys: RedisArgument | ReadonlyArray<RedisArgument>,
    read: (client: Client) => Promise<A>,
    write: (client: Client, value: A) => CanExec<B>,
    options: MaybeBounded
  ): Effect.Effect<B, BoundedError> {
    const all = Array.isArray(keys) ? keys : [keys]
    if (all.length === 0) Validate.refuse("Redis.watch", "keys", keys, "one key at least")
    return service.useAsync<B, RedisError | ClientService.ConnectionLost>(
      (connection, resume) =>
        connection.calls.begin(
          (_, call) =>
            onOwn(connection, call, ["WATCH", ...all], "none that blocks", (own) =>
              watched(own, call, all, read, (client, value) => write(client, value).execTyped())
            ),
          resume
        ),
      options
    )
  }
  const streamOf = <A, Subscribed, Gap, Bytes extends boolean>(
    kind: Kind,
    names: string | ReadonlyArray<string>,
    element: (name: string, channel: string, message: Body<Bytes>) => A,
    options: SubscribeOptions<Subscribed, Gap, Bytes> = {}
  ) => {
    const where = `Redis.${kind.toLowerCase()}`
    const all = [...new Set(typeof names === "string" ? [names] : names)]
    if (all.length === 0) Validate.refuse(where, "names", names, "one name at least")
    const capacity = Validate.integer(where, "bufferSize", options.bufferSize ?? 10_000, 1)
    const { bytes, gap, subscribed } = options
    const body = bodyOf(bytes)
    return messages(service, {
      kind,
      names: all,
      element: (name, channel, message) => element(name, channel.toString(), body(message)),
      capacity,
      subscribed,
      gap
    })
  }
  return {
    service,
    use,
    command,
    pipeline,
    transaction,
    watch,
    session,
    subscribe: (channels, options) =>
      streamOf("subscribe", channels, (_, channel, message) => ({ channel, message }), options),
    psubscribe: (patterns, options) =>
      streamOf("pSubscribe", patterns, (pattern, channel, message) => ({ pattern, channel, message }), options),
    ssubscribe: (channels, options) =>
      streamOf("sSubscribe", channels, (_, channel, message) => ({ channel, message }), options),
    readGroup: (options) => groupReader.entries(service, groupSettingsOf(options))
  }
}

const groupSettingsOf = <Bytes extends boolean>(
  options: ReadGroupOptions<Bytes>
): groupReader.Settings<Body<Bytes>> => {
  const where = "Redis.readGroup"
  const { block = "5 seconds", noAck = false, startId, timeout = "5 seconds" } = options
  if (startId !== undefined && !/^(\$|\d+(-\d+)?)$/.test(startId)) {
    Validate.refuse(where, "startId", startId, "0, $ or the id of an entry")
  }
  // A server takes 0 to be for ever.
  Validate.positiveDuration(where, "block", block)
  return {
    stream: Validate.text(where, "stream", options.stream),
    group: Validate.text(where, "group", options.group),
    consumer: Validate.text(where, "consumer", options.consumer),
    count: Validate.integer(where, "count", options.count ?? 10, 1),
    block: Validate.finiteDuration(where, "block", block),
    timeout: Validate.positiveDuration(where, "timeout", timeout),
    noAck,
    startId,
    body: bodyOf(options.bytes)
  }
}

/**
 * Makes Redis in the Scope of the caller and starts it. It stops for good when the Scope closes.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <R1 = never, R3 = never, R4 = never>({
  maxSessions = 10,
  ...options
}: Options<R1, R3, R4>): Effect.Effect<Service, never, Scope.Scope | R1 | R3 | R4> => {
  Validate.integer("Redis.make", "maxSessions", maxSessions, 1)
  return ClientService.make(withHeartbeat(options)).pipe(
    Effect.tap((service) => service.start),
    Effect.map((service) => fromService(service, { maxSessions }))
  )
}

/**
 * Makes a Layer of Redis, which connects when the Layer is built and stops when it is released.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Redis, RedisEndpoint } from "effect-client-service-redis"
 *
 * const RedisLive = Redis.layer({ endpoint: RedisEndpoint.make({ host: "redis.example.com" }) })
 *
 * const program = Effect.gen(function* () {
 *   const redis = yield* Redis.Redis
 *   const visits: number = yield* redis.use((client) => client.incr("visits"))
 *   return visits
 * }).pipe(Effect.provide(RedisLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption
 */
export const layer = <R1 = never, R3 = never, R4 = never, W extends ClientService.WaitForConnection = never>(
  options: LayerOptions<R1, R3, R4, W>
): Layer.Layer<Redis, ClientService.WaitError<W, ConnectFailure>, R1 | Exclude<R3, Scope.Scope> | R4> =>
  DriverLayer.make("Redis.layer", Redis, make(options), options.waitForConnection)

/**
 * Makes a Layer of Redis as `layer` does, with an endpoint that is read from the configuration. What makes no sense there
 * is a `ConfigError`.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { Redis } from "effect-client-service-redis"
 *
 * const RedisLive = Redis.layerConfig({ url: Config.redacted("REDIS_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption if one of `options` makes no sense
 */
export const layerConfig = <R3 = never, R4 = never, W extends ClientService.WaitForConnection = never>(
  server: Config.Config.Wrap<RedisEndpoint.ServerOptions>,
  options?: Omit<LayerOptions<never, R3, R4, W>, "endpoint">
): Layer.Layer<
  Redis,
  ConfigError.ConfigError | ClientService.WaitError<W, ConnectFailure>,
  Exclude<R3, Scope.Scope> | R4
> =>
  DriverLayer.config(server, RedisEndpoint.make<never>, (endpoint) => layer<never, R3, R4, W>({ ...options, endpoint }))

const withHeartbeat = <R1, R3, R4>({ heartbeat, ...options }: Options<R1, R3, R4>) => {
  if (heartbeat === false) return options
  const timeout = heartbeat?.timeout ?? "5 seconds"
  const withPing = {
    // Ahead of what is not sent yet, and of what waits for a place. Of two connections, either may be silent, and costs itself.
    probe: ({ client, errorOf, subscriptions }: RedisConnection) =>
      Effect.zipRight(
        subscriptions.probe(timeout),
        Effect.tryPromise({ try: () => ping(client.asap(), notReadyAnyLonger), catch: errorOf })
      ),
    // It answers in order, and may be at a long answer.
    lastReceived: ({ lastHeard }: RedisConnection) => lastHeard(),
    interval: heartbeat?.interval ?? "10 seconds",
    timeout
  }
  return { ...options, heartbeat: withPing }
}

function bodyOf<Bytes extends boolean>(bytes: Bytes | undefined): (message: Buffer) => Body<Bytes>
function bodyOf(bytes: boolean | undefined): (message: Buffer) => Uint8Array | string {
  return bytes === true ? (message) => new Uint8Array(message) : (message) => message.toString()
}
