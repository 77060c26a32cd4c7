/**
 * A connection to PostgreSQL that is kept alive, and on it `LISTEN` and `NOTIFY`.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import type * as Endpoint from "effect-client-service/Endpoint"
import * as Race from "effect-client-service/Race"
import * as DriverLayer from "effect-client-service-driver/DriverLayer"
import type * as Gaps from "effect-client-service-driver/Gaps"
import * as Places from "effect-client-service-driver/Places"
import * as Validate from "effect-client-service-driver/Validate"
import type { QueryConfig, QueryResult, QueryResultRow } from "pg"
import { Channels, Gap, type PgEvent } from "./internal/channels.js"
import { queryOf } from "./internal/clientConnection.js"
import * as internal from "./internal/transaction.js"
import type { PgConnection } from "./PgConnection.js"
import * as PgEndpoint from "./PgEndpoint.js"
import { type ConnectFailure, PgError } from "./PgError.js"
import type { Notification } from "./PgEvent.js"

/**
 * A connection to PostgreSQL that is kept alive.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The service of the connection: its state, `start` and `stop`, `whenConnected`, and `use` for transactions. */
  readonly service: ClientService.ClientService<PgConnection, ConnectFailure>
  /**
   * Waits for a connection and runs a statement on it, once. If the connection is lost before the answer, fails with
   * `ConnectionLost`, and whether the server ran it is not known: it is never run again.
   *
   * What it changes of the session, such as by `SET` or `pg_advisory_lock`, is so for all who use the connection, until that is lost; it is not
   * looked at, as after a `withClient`. One that has a name, and that somebody has deallocated or whose table has changed
   * meanwhile, is prepared anew. After `DISCARD ALL`, `DEALLOCATE ALL`, or an `UNLISTEN` of what is listened to, the
   * connection is lost; if a function that it calls has done so, the next heartbeat finds what is not listened to any more,
   * and nothing else.
   *
   * With `maxWait`, fails with `NotConnected` if there is no connection within that time; the statement may take as long as
   * it takes.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly query: Query
  /**
   * Runs an Effect in a transaction, on a connection of its own, so that it holds up nobody: it is committed when the Effect
   * succeeds, and rolled back when it fails or is interrupted. The connection is prepared as the others are, and closed in the
   * end. Whoever is interrupted during the commit does not learn whether it was.
   *
   * No more than `maxSessions` are under way at a time; the others wait, no longer than `maxWait`, and fail then with a `PgError`
   * of reason `Overloaded`, as they do at once where `maxWaiting` of the endpoint wait, or with `ServiceStopped` as soon as a stop
   * begins. Nothing of them was begun.
   *
   * Fails with `ConnectionLost` if the connection is lost: it was not committed, unless the commit was under way. Fails with a
   * `PgError` of reason `RolledBack` if the Effect succeeds though a statement has failed, outside of a `savepoint`.
   *
   * @throws InvalidOption if `maxWait` is no duration of zero or more
   */
  readonly transaction: InTransaction
  /**
   * What is sent to a channel, for as long as the stream runs. It goes on across connections: on each, the server has
   * acknowledged the `LISTEN` before anybody gets that connection, and what `gap` gives comes before what is sent then. All
   * streams of a channel share one `LISTEN`, and the last one that ends ends it.
   *
   * The name of the channel is taken literally: `NOTIFY Jobs` sends to `jobs`.
   *
   * It fails when the service is stopped or has given up, and with a `PgError` if the server has no such thing, or a pooler in
   * between lets nothing be heard. A server that refuses it for now, such as a standby, is asked again.
   *
   * @throws InvalidOption if the name of the channel is empty, has a NUL, or is longer than the 63 bytes that the server
   *   looks at, and if an option makes no sense
   */
  readonly listen: <Subscribed = never, Gap = never>(
    channel: string,
    options?: ListenOptions<Subscribed, Gap>
  ) => Stream.Stream<Notification | Subscribed | Gap, PgError | ServiceEnd>
}

/**
 * The type of `query`: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Query {
  <Row extends QueryResultRow = Record<string, unknown>>(
    query: Statement,
    values?: ReadonlyArray<unknown>,
    options?: { readonly maxWait?: undefined }
  ): Effect.Effect<QueryResult<Row>, QueryError>
  <Row extends QueryResultRow = Record<string, unknown>>(
    query: Statement,
    values: ReadonlyArray<unknown> | undefined,
    options: ClientService.UseOptions | undefined
  ): Effect.Effect<QueryResult<Row>, QueryError | NotConnected>
}

/**
 * The type of `transaction`: it fails with `NotConnected` only if it is told how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface InTransaction {
  <A, E, R>(
    f: (transaction: Transaction) => Effect.Effect<A, E, R>,
    options?: TransactionOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<A, E | QueryError, R>
  <A, E, R>(
    f: (transaction: Transaction) => Effect.Effect<A, E, R>,
    options: TransactionOptions
  ): Effect.Effect<A, E | QueryError | NotConnected, R>
}

/**
 * Statements that are one, on a connection of their own.
 *
 * @since 0.1.0
 * @category models
 */
export type Transaction = internal.Transaction

/**
 * @since 0.1.0
 * @category options
 */
export interface TransactionOptions extends ClientService.UseOptions {
  /** Default: the server's, which is `read committed` unless it is configured otherwise. */
  readonly isolation?: "read committed" | "repeatable read" | "serializable" | undefined
  /** Default: the server's, which is false unless it is configured otherwise. */
  readonly readOnly?: boolean | undefined
}

/**
 * All that a statement can fail with.
 *
 * - `PgError`: the server refused it.
 * - `ConnectionLost`: the connection was lost before the answer. It may have been run, or may not, and is not sent again.
 * - `ServiceStopped` and `RetriesExhausted`: there is no connection and there will be none. It was not sent.
 *
 * @since 0.1.0
 * @category models
 */
export type QueryError = PgError | ClientService.ConnectionLost | ServiceEnd

/**
 * What fails callers and streams when there is no connection and there will be none.
 *
 * @since 0.1.0
 * @category models
 */
export type ServiceEnd = ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>

/**
 * There was no connection within `maxWait`. Nothing was sent.
 *
 * @since 0.1.0
 * @category models
 */
export type NotConnected = ClientService.NotConnected<ConnectFailure>

type Statement = string | QueryConfig<Array<unknown>>

/**
 * @since 0.1.0
 * @category options
 */
export interface ListenOptions<Subscribed, Gap> extends Gaps.Options<Subscribed, Gap> {
  /**
   * How many notifications wait for a consumer that is slow, at least 2. When they are more, all of them are dropped and a
   * gap takes their place. Default 1024.
   */
  readonly bufferSize?: number | undefined
}

/**
 * Options of a service. All that are not here are as those of `ClientService.make`.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R1 = never, R3 = never, R4 = never>
  extends Omit<
    ClientService.CommonOptions<
      PgConnection,
      ConnectFailure,
      Effect.Effect<unknown, PgError, R3 | Scope.Scope>,
      never,
      R4
    >,
    "heartbeat"
  > {
  /** Where to connect to, such as by `PgEndpoint.make`. */
  readonly endpoint: Endpoint.Endpoint<PgConnection, ConnectFailure, R1>
  /**
   * When the connection is probed, by a statement that does nothing, or that tells whether it still listens: 15 seconds after
   * the last answer, for 15 seconds, by default. A probe waits for its turn. While something comes, or the server says on a
   * connection of its own that it still runs a statement, none is lost, however long that takes; but a `withClient` that asks
   * nothing for longer than the timeout loses the connection.
   */
  readonly heartbeat?: DriverLayer.Heartbeat | undefined
  /**
   * How many transactions may be under way at a time, each on a connection of its own. Beyond that, callers wait, and one within
   * another waits for ever if all are such. Default 10.
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
 * The tag of the service.
 *
 * @since 0.1.0
 * @category tags
 */
export class PgService extends Context.Tag("effect-client-service-pg/PgService")<PgService, Service>() {}

/**
 * Makes a service in the Scope of the caller and starts it. It stops for good when the Scope closes.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { PgEndpoint, PgService } from "effect-client-service-pg"
 *
 * const program = Effect.gen(function* () {
 *   const pg = yield* PgService.make({ endpoint: PgEndpoint.make({ host: "127.0.0.1", user: "app" }) })
 *   return yield* pg.query("SELECT $1::int AS answer", [42])
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <R1 = never, R3 = never, R4 = never>(
  options: Options<R1, R3, R4>
): Effect.Effect<Service, never, Scope.Scope | R1 | R3 | R4> => {
  const { heartbeat, maxSessions = 10, prepare, ...common } = options
  Validate.integer("PgService.make", "maxSessions", maxSessions, 1)
  const channels = new Channels()
  const { interval = "15 seconds", timeout = "15 seconds" } = heartbeat || {}
  const service = ClientService.make({
    ...common,
    // Last, so that what `prepare` sends to a channel comes before the gap.
    prepare: (connection: PgConnection) =>
      Effect.zipRight(
        Effect.tap(prepare === undefined ? Effect.void : prepare(connection), connection.prepared),
        channels.prepare(connection)
      ),
    heartbeat:
      heartbeat === false
        ? undefined
        : {
            probe: probeOf(channels, timeout),
            // It answers in order, and may be at a long answer.
            lastReceived: ({ lastHeard }: PgConnection) => lastHeard(),
            interval,
            timeout
          }
  })
  return Effect.zipWith(
    Effect.context<R3>(),
    Effect.tap(service, (service) => service.start),
    (context, service): Service => ({
      service,
      query: queryOn(service),
      transaction: transactionOn(
        service,
        Places.make(maxSessions, service, ({ maxWaiting }) => maxWaiting),
        (own) =>
          prepare === undefined
            ? Effect.void
            : Effect.mapInputContext(prepare(own), (scope: Context.Context<Scope.Scope>) =>
                Context.merge(context, scope)
              )
      ),
      listen: (channel, options) => listen(service, channels, channel, options)
    })
  )
}

/**
 * Makes a Layer of the service, which connects when the Layer is built and stops when it is released.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "effect-client-service"
 * import { PgEndpoint, PgError, PgService } from "effect-client-service-pg"
 *
 * const PgLive = PgService.layer({
 *   endpoint: PgEndpoint.make({ host: "127.0.0.1", user: "app" }),
 *   retryPolicy: { while: (error) => !PgError.isFatal(error) }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption
 */
export const layer = <R1 = never, R3 = never, R4 = never, W extends ClientService.WaitForConnection = never>(
  options: LayerOptions<R1, R3, R4, W>
): Layer.Layer<PgService, ClientService.WaitError<W, ConnectFailure>, R1 | Exclude<R3, Scope.Scope> | R4> =>
  DriverLayer.make("PgService.layer", PgService, make(options), options.waitForConnection)

/**
 * Makes a Layer of the service as `layer` does, with an endpoint that is read from the configuration. What makes no sense
 * there is a `ConfigError`.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { PgService } from "effect-client-service-pg"
 *
 * const PgLive = PgService.layerConfig({ url: Config.redacted("DATABASE_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption if one of `options` makes no sense
 */
export const layerConfig = <R3 = never, R4 = never, W extends ClientService.WaitForConnection = never>(
  server: Config.Config.Wrap<PgEndpoint.ServerOptions>,
  options?: Omit<LayerOptions<never, R3, R4, W>, "endpoint">
): Layer.Layer<
  PgService,
  ConfigError.ConfigError | ClientService.WaitError<W, ConnectFailure>,
  Exclude<R3, Scope.Scope> | R4
> => DriverLayer.config(server, PgEndpoint.make<never>, (endpoint) => layer<never, R3, R4, W>({ ...options, endpoint }))

// A server that refuses a statement is alive.
const probeOf = (channels: Channels, timeout: Duration.DurationInput) => (connection: PgConnection) =>
  Race.firstOf(
    Effect.catchIf(
      channels.probe(connection),
      ({ reason }) => reason === "Query",
      () => Effect.void
    ),
    connection.watchStatement(Duration.times(timeout, 1 / 3))
  )

const queryOn = (service: Service["service"]): Query => {
  type Values = ReadonlyArray<unknown> | undefined
  type Given = ClientService.UseOptions | undefined
  type Answer<Row extends QueryResultRow, E> = Effect.Effect<QueryResult<Row>, E>
  function query<Row extends QueryResultRow>(
    query: Statement,
    values?: Values,
    options?: { readonly maxWait?: undefined }
  ): Answer<Row, QueryError>
  function query<Row extends QueryResultRow>(
    query: Statement,
    values: Values,
    options: Given
  ): Answer<Row, QueryError | NotConnected>
  function query<Row extends QueryResultRow>(query: Statement, values: Values, options: Given) {
    const run = queryOf<Row>(query, values)
    return service.useAsync<QueryResult<Row>, PgError>(({ begin }, resume) => begin(run, resume), options)
  }
  return query
}

const transactionOn = (
  service: Service["service"],
  places: Places.Places<PgConnection, ConnectFailure>,
  prepare: (own: PgConnection) => Effect.Effect<unknown, PgError, Scope.Scope>
): InTransaction => {
  type Begun<A, E, R> = (transaction: Transaction) => Effect.Effect<A, E, R>
  function transaction<A, E, R>(
    f: Begun<A, E, R>,
    options?: TransactionOptions & { readonly maxWait?: undefined }
  ): Effect.Effect<A, E | QueryError, R>
  function transaction<A, E, R>(
    f: Begun<A, E, R>,
    options: TransactionOptions
  ): Effect.Effect<A, E | QueryError | NotConnected, R>
  function transaction<A, E, R>(f: Begun<A, E, R>, { isolation, maxWait, readOnly }: TransactionOptions = {}) {
    const modes = [
      ...(isolation === undefined ? [] : [`ISOLATION LEVEL ${isolation.toUpperCase()}`]),
      ...(readOnly === undefined ? [] : [readOnly ? "READ ONLY" : "READ WRITE"])
    ]
    const begin = ["BEGIN", ...modes].join(" ")
    const run = (connection: PgConnection) => internal.inTransaction(connection, service.name, begin, prepare, f)
    const wait = Validate.duration("PgService.transaction", "maxWait", maxWait ?? Duration.infinity)
    return places.use(run, wait, ({ endpoint }, why) => {
      const detail = why === "full" ? "maxWaiting wait for a transaction" : "maxSessions are under way"
      return new PgError({ reason: "Overloaded", endpoint, detail })
    })
  }
  return transaction
}

const listen = <Subscribed = never, OnGap = never>(
  service: Service["service"],
  channels: Channels,
  channel: string,
  { bufferSize = 1024, gap, subscribed }: ListenOptions<Subscribed, OnGap> = {}
): Stream.Stream<Notification | Subscribed | OnGap, PgError | ServiceEnd> => {
  const where = "Pg.listen"
  checkChannel(where, channel)
  Validate.integer(where, "bufferSize", bufferSize, 2)
  const elementOf = (event: PgEvent): Option.Option<Notification | Subscribed | OnGap> => {
    if (event._tag === "Notification") return Option.some(event)
    const { reason } = event
    if (reason === "Started") return Option.map(Option.fromNullable(subscribed), (subscribed) => subscribed())
    return Option.map(Option.fromNullable(gap), (gap) => gap(reason))
  }
  return Stream.unwrapScoped(
    Effect.gen(function* () {
      const listener = { channel, bufferSize }
      yield* channels.add(listener)
      let isStarted = false
      // Before it has begun, there is nothing that it may have missed.
      const beginning = Stream.suspend(() => {
        const reason = isStarted ? "Reconnected" : "Started"
        isStarted = true
        return Stream.make(new Gap({ reason }))
      })
      return ClientService.stream(service, (connection) => channels.events(connection, listener, beginning)).pipe(
        Stream.filterMap(elementOf)
      )
    })
  )
}

const checkChannel = (where: string, channel: string): void => {
  Validate.text(where, "channel", channel)
  if (channel.includes("\0")) Validate.refuse(where, "channel", channel, "without a NUL")
  if (new TextEncoder().encode(channel).length > 63) {
    Validate.refuse(where, "channel", channel, "at most 63 bytes long")
  }
}
