/**
 * PostgreSQL as an endpoint of a `ClientService`.
 *
 * @since 0.1.0
 */
import type { ConnectionOptions } from "node:tls"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Endpoint from "effect-client-service/Endpoint"
import type { EndpointsFailed } from "effect-client-service/EndpointsFailed"
import * as InvalidOption from "effect-client-service/InvalidOption"
import * as Address from "effect-client-service-driver/Address"
import * as Credential from "effect-client-service-driver/Credential"
import * as Validate from "effect-client-service-driver/Validate"
import { Client, type ClientConfig } from "pg"
import { ClientConnection } from "./internal/clientConnection.js"
import type { Config } from "./internal/newClient.js"
import { PasswordFailure } from "./internal/pgFailure.js"
import * as internal from "./internal/sessionAttributes.js"
import { checkOptions, ofEachHost, ofUrl } from "./internal/url.js"
import type { PgConnection } from "./PgConnection.js"
import { PgError } from "./PgError.js"

/**
 * The options of a `pg.Client`, and a few more. What is not given is taken from `PGHOST`, `PGUSER` and so on, as `pg`
 * does.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions extends Omit<ClientConfig, "connectionString" | "password"> {
  /**
   * Such as `postgres://user:password@host:5432/database`. Other options take the place of what it says. A query part
   * that is not among those of `pg`, `connect_timeout`, `channel_binding` and `target_session_attrs` is refused.
   */
  readonly url?: Credential.Secret | undefined
  readonly password?: Credential.Secret | undefined
  /**
   * What kind of a server it has to be, as libpq has them: one that takes what is written, one that does not, a primary or a
   * standby. An attempt that finds another fails by a `PgError` of reason `SessionAttributes`, so that the next one looks
   * again. Default `any`.
   */
  readonly targetSessionAttrs?: SessionAttributes | undefined
  /** The name of the endpoint, for logs, spans and errors. Default: such as `postgres://host:5432/database`. */
  readonly name?: string | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> extends Omit<ServerOptions, "password" | "ssl"> {
  /**
   * The password. An Effect that gives it runs at every attempt; if it fails, the attempt fails by a `PgError` of reason
   * `Credentials`, and the next one asks again.
   */
  readonly password?: Credential.Credential<R> | undefined
  /**
   * TLS, with the options of `node:tls` if any. An Effect that gives them, such as `read` of the `TlsFiles` of
   * `effect-client-service-node`, runs for each connection; if it fails, the attempt fails as for a password that can't be had.
   * Default: as the URL says, or `PGSSLMODE`.
   */
  readonly ssl?: boolean | Credential.Fresh<ConnectionOptions, R> | undefined
  /**
   * How long closing waits until the server has closed as well, before the socket is destroyed. Keep it below the
   * `closeTimeout` of the service. Default 1 second.
   */
  readonly linger?: Duration.DurationInput | undefined
  /**
   * How many callers of `PgService.query` and `withClient` may wait for their turn on a connection. Beyond that, they fail at once
   * by a `PgError` of reason `Overloaded`, and nothing was sent; so do the statements of one transaction. What a heartbeat or
   * `prepare` asks by `query` of the connection waits all the same. While there is a connection, as many transactions may
   * wait for one of `maxSessions` besides. With 0, a call fails while another is under way. Default 100,000.
   */
  readonly maxWaiting?: number | undefined
}

/**
 * Connects to PostgreSQL by a `pg.Client` of its own for every connection. The name of the host is looked up, and a
 * `password` that is an Effect runs, at every attempt.
 *
 * Fails, and loses its connections, with a `PgError`.
 *
 * @example
 * ```ts
 * import { ClientService } from "effect-client-service"
 * import { PgEndpoint } from "effect-client-service-pg"
 *
 * const service = ClientService.make({
 *   endpoint: PgEndpoint.make({ host: "db.example.com", user: "app", database: "app" })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <R = never>(options: Options<R>): Endpoint.Endpoint<PgConnection, PgError, R> =>
  makeFor("PgEndpoint.make", options)

/**
 * One of several servers, as a primary and its standbys are: the first that can be connected to and is of the kind that
 * `targetSessionAttrs` asks for. Each attempt tries the next of them, and the first again after a connection that came up,
 * as `Endpoint.failover` has it. With `prefer-standby`, the others are tried once no standby was found.
 *
 * Fails with an `EndpointsFailed` that tells of each, and loses its connections with a `PgError`.
 *
 * @example
 * ```ts
 * import { PgEndpoint } from "effect-client-service-pg"
 *
 * const writable = PgEndpoint.cluster({
 *   url: "postgres://app@db1.example.com,db2.example.com:5433/app",
 *   targetSessionAttrs: "primary"
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const cluster = <R = never>(
  options: ClusterOptions<R>
): Endpoint.Endpoint<PgConnection, PgError | EndpointsFailed<PgError>, R> => {
  const where = "PgEndpoint.cluster"
  const { hosts = [], url, ...common } = options
  const servers: ReadonlyArray<Options<R>> =
    url === undefined
      ? hosts.map((host) => ({ ...common, ...(typeof host === "string" ? { host } : host) }))
      : ofEachHost(Credential.textOf(url)).map((url) => ({ ...common, url }))
  if (servers.length === 0) Validate.refuse(where, "hosts", hosts, "one host at least")
  if (hosts.length > 0 && url !== undefined) Validate.refuse(where, "hosts", hosts, "left out where there is a url")
  const all = (wanted?: SessionAttributes) => servers.map((server) => makeFor(where, server, wanted))
  const isStandbyPreferred = servers.some((server) => attributesOf(where, server) === "prefer-standby")
  return Endpoint.failover(isStandbyPreferred ? [...all("standby"), ...all("any")] : all())
}

/**
 * @since 0.1.0
 * @category options
 */
export interface ClusterOptions<R = never> extends Omit<Options<R>, "host" | "port" | "url" | "name"> {
  /** The servers, in the order in which they are tried. A port that is not given is that of `PGPORT`, or 5432. */
  readonly hosts?: ReadonlyArray<string | { readonly host: string; readonly port?: number | undefined }> | undefined
  /** As of `make`, with several hosts and commas between them; instead of `hosts`. */
  readonly url?: Credential.Secret | undefined
}

/**
 * What kind of a server a session is to be on: `any`, `read-write`, `read-only`, `primary`, `standby` or `prefer-standby`.
 *
 * @since 0.1.0
 * @category options
 */
export type SessionAttributes = internal.SessionAttributes

const makeFor = <R>(
  where: string,
  options: Options<R>,
  wanted = attributesOf(where, options)
): Endpoint.Endpoint<PgConnection, PgError, R> => {
  const linger = Validate.finiteDuration(where, "linger", options.linger ?? "1 second")
  const maxWaiting = Validate.integer(where, "maxWaiting", options.maxWaiting ?? 100_000, 0)
  if (options.port !== undefined) Validate.integer(where, "port", options.port, 1, 65535)
  if (options.host !== undefined) Validate.text(where, "host", options.host)
  const config = configOf(where, options)
  const client = clientOf(where, config)
  checkLogin(where, client)
  const { database, host: given, port } = client
  // That of the URL, or of the environment.
  Validate.integer(where, "port", port, 1, 65535)
  const isPath = given.startsWith("/")
  const host = isPath ? given : Address.host(where, "host", given)
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const address = isPath ? Address.path(where, "host", `${host}/.s.PGSQL.${port}`) : authority
  const name = Validate.text(where, "name", options.name ?? `postgres://${authority}/${database ?? ""}`)
  return Endpoint.make({
    name,
    server: isPath ? { address, transport: "unix" } : { address: host, port, transport: "tcp" },
    connect: (signal: Endpoint.ConnectionSignal<PgError>) =>
      Effect.gen(function* () {
        const asked = yield* askingFor(options.password)
        const now = yield* obtaining(options.ssl, { ...config, ...asked }, name)
        const configs = { now, isAskedAgain: asked.password !== undefined || Credential.isFresh(options.ssl) }
        const first = yield* now
        const connection = yield* Effect.acquireRelease(
          ClientConnection.make(first, configs, { address, endpoint: name, host, maxWaiting }, signal),
          (connection) => connection.close(linger)
        )
        const connected = yield* connection.connect
        yield* internal.ensure(wanted, connected)
        if (wanted === "read-write" || wanted === "primary") {
          const run = yield* FiberSet.makeRuntime<never>()
          let isAsked = false
          // A transaction may have been one that reads alone. If it is not that, the server is none to write to any more.
          connection.onReadOnly(() => {
            if (isAsked) return
            isAsked = true
            run(
              Effect.match(internal.ensure(wanted, connected), {
                onFailure: (error) => signal.lost(error),
                onSuccess: () => {
                  isAsked = false
                }
              })
            )
          })
        }
        return connected
      })
  })
}

const attributesOf = <R>(where: string, { targetSessionAttrs, url }: Options<R>): SessionAttributes => {
  const given = internal.sessionAttributes(where, "targetSessionAttrs", targetSessionAttrs ?? "any")
  if (targetSessionAttrs !== undefined || url === undefined) return given
  return ofUrl(where, Credential.textOf(url)).targetSessionAttrs ?? given
}

const configOf = <R>(
  where: string,
  {
    linger: _linger,
    maxWaiting: _maxWaiting,
    name: _name,
    password,
    ssl,
    targetSessionAttrs: _attributes,
    url,
    ...config
  }: Options<R>
): Config => {
  checkOptions(where, config)
  const isKnown = password !== undefined && !Credential.isAskedAgain(password)
  const given = {
    ...config,
    ...(isKnown ? { password: Credential.textOf(password) } : {}),
    ...(ssl === undefined ? {} : { ssl: typeof ssl === "boolean" || !Credential.isFresh(ssl) ? ssl : true })
  }
  return url === undefined ? given : { ...given, ...ofUrl(where, Credential.textOf(url), given).config }
}

// `pg` asks when the server wants a password, and for a connection of somebody's own once more.
const askingFor = <R>(
  password: Options<R>["password"]
): Effect.Effect<Pick<ClientConfig, "password">, never, R | Scope.Scope> =>
  password === undefined || !Credential.isAskedAgain(password)
    ? Effect.succeed({})
    : Effect.map(FiberSet.makeRuntimePromise<R>(), (run) => ({
        password: () =>
          run(Credential.reveal(password, (cause) => new PasswordFailure("there is no password to be had", { cause })))
      }))

// A connection has others beside it, which are made later.
const obtaining = <R>(
  ssl: Options<R>["ssl"],
  config: Config,
  endpoint: string
): Effect.Effect<Effect.Effect<Config, PgError>, never, R> =>
  ssl === undefined || typeof ssl === "boolean" || !Credential.isFresh(ssl)
    ? Effect.succeed(Effect.succeed(config))
    : Effect.map(Effect.context<R>(), (context) =>
        Credential.obtain(ssl, (cause, detail) => new PgError({ reason: "Credentials", endpoint, detail, cause })).pipe(
          // `pg` changes what it is given.
          Effect.map((options) => ({ ...config, ssl: { ...options } })),
          Effect.provide(context)
        )
      )

// After a NUL, the server would take the rest for something else that it is told, such as another database.
const checkLogin = (where: string, client: Client): void => {
  const read: unknown = Reflect.get(client, "getStartupConf")
  const told: unknown = typeof read === "function" ? read.call(client) : {}
  for (const [name, value] of Object.entries(told ?? {})) {
    if (String(value).includes("\0")) Validate.refuse(where, name, "(not shown)", "without a NUL")
  }
}

// Made once as well, so that what makes no sense is refused before the first attempt.
const clientOf = (where: string, config: ClientConfig): Client => {
  try {
    return new Client(config)
  } catch {
    // The error tells the URL.
    throw new InvalidOption.InvalidOption({
      where,
      option: "url or sslnegotiation",
      value: "(not shown)",
      expected: "what pg can use"
    })
  }
}
