/**
 * Redis servers as endpoints of a `ClientService`.
 *
 * @since 0.1.0
 */
import type { ConnectionOptions } from "node:tls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Endpoint from "effect-client-service/Endpoint"
import * as Address from "effect-client-service-driver/Address"
import * as Credential from "effect-client-service-driver/Credential"
import * as ServerUrl from "effect-client-service-driver/ServerUrl"
import * as Validate from "effect-client-service-driver/Validate"
import { connect, type Settings } from "./internal/connection.js"
import type { RedisConnection } from "./RedisConnection.js"
import { RedisError } from "./RedisError.js"

/**
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions {
  /**
   * `redis://[[username][:password]@]host[:port][/database]`, or `rediss://` for TLS. `?db=5` or `?database=5` gives the
   * database too, and `client_name` or `clientName` the name of the connection; any other query part is refused. Other
   * options take the place of what it says.
   */
  readonly url?: Credential.Secret | undefined
  /** A name or an IP address. Default `localhost`. */
  readonly host?: string | undefined
  /** Default 6379. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of `host` and `port`. */
  readonly path?: string | undefined
  /** The user of the server's ACL. Default: the server's default user. */
  readonly username?: string | undefined
  readonly password?: Credential.Secret | undefined
  /** The number of the database. Default 0. */
  readonly database?: number | undefined
  /** What the server calls the connection, in `CLIENT LIST`. */
  readonly clientName?: string | undefined
  /** The name of the endpoint, in logs, spans and errors. Default: its URL, without credentials. */
  readonly name?: string | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> extends Omit<ServerOptions, "password"> {
  /**
   * The password. An Effect that gives it runs at every attempt; if it fails, the attempt fails by a `RedisError` of
   * reason `Credentials`, and the next one asks again.
   */
  readonly password?: Credential.Credential<R> | undefined
  /** TLS, with the options of `node:tls` if any. Default: as the URL says, or false. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** How long closing waits for the answers to what was sent. Default 1 second. */
  readonly linger?: Duration.DurationInput | undefined
  /**
   * How many commands, pipelines and transactions may be without their answer at a time. Beyond that, callers wait.
   * Default 10,000.
   */
  readonly maxInFlight?: number | undefined
}

/**
 * Connects to a server of Redis 6 or later, or one that speaks its protocol (RESP3). An attempt connects, logs in, and
 * has a `PING` answered: a server that still loads its data makes it fail, by a `RedisError` of reason `NotReady`.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { RedisEndpoint } from "effect-client-service-redis"
 *
 * const cache = RedisEndpoint.make({ host: "redis.example.com", password: Redacted.make("secret") })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <R = never>(options: Options<R>): Endpoint.Endpoint<RedisConnection, RedisError, R> => {
  const { password, server, settings } = settingsOf(options)
  return Endpoint.make({
    name: settings.name,
    server,
    connect: (signal: Endpoint.ConnectionSignal<RedisError>) =>
      Effect.flatMap(Effect.context<R>(), (context) =>
        connect(settings, Effect.provide(passwordOf(password, settings.name), context), signal)
      )
  })
}

const where = "RedisEndpoint.make"

const passwordOf = <R>(
  password: Options<R>["password"],
  endpoint: string
): Effect.Effect<string | undefined, RedisError, R> =>
  password === undefined
    ? Effect.succeed(undefined)
    : Credential.reveal(password, (cause) => new RedisError({ reason: "Credentials", endpoint, cause }))

const settingsOf = <R>(
  options: Options<R>
): {
  readonly password: Options<R>["password"]
  readonly server: Endpoint.ServerAddress
  readonly settings: Settings
} => {
  const url = options.url === undefined ? undefined : parsed(options.url)
  const port = Validate.integer(where, "port", options.port ?? url?.port ?? 6379, 1, 65_535)
  const host = Address.host(where, "host", options.host ?? url?.host ?? "localhost")
  const database = options.database ?? url?.database
  const { path } = options
  if (path !== undefined) Address.path(where, "path", path)
  const tls = options.tls ?? url?.isTls ?? false
  return {
    password: options.password ?? url?.password,
    server: path === undefined ? { address: host, port, transport: "tcp" } : { address: path, transport: "unix" },
    settings: {
      name: Validate.text(where, "name", options.name ?? nameOf({ host, port, path, database, tls })),
      socket: socketOf({ host, port, path, tls }),
      username: options.username ?? url?.username,
      database: database === undefined ? undefined : Validate.integer(where, "database", database, 0),
      clientName: options.clientName ?? url?.clientName,
      isAskedAgain: options.password !== undefined && Credential.isAskedAgain(options.password),
      linger: Validate.finiteDuration(where, "linger", options.linger ?? Duration.seconds(1)),
      maxInFlight: Validate.integer(where, "maxInFlight", options.maxInFlight ?? 10_000, 1)
    }
  }
}

interface Place {
  readonly host: string
  readonly port: number
  readonly path: string | undefined
  readonly tls: boolean | ConnectionOptions
}

const nameOf = ({ database, host, path, port, tls }: Place & { readonly database: number | undefined }): string => {
  if (path !== undefined) return `unix://${path}`
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  return `${tls === false ? "redis" : "rediss"}://${authority}${database === undefined ? "" : `/${database}`}`
}

const socketOf = ({ host, path, port, tls }: Place): Settings["socket"] => {
  if (path !== undefined) return { path, tls: false }
  return tls === false ? { host, port } : { ...(tls === true ? {} : tls), host, port, tls: true }
}

const parsed = (url: Credential.Secret) => {
  const expected = "redis://[[username][:password]@]host[:port][/database]"
  const { host, password, path, port, query, scheme, username } = ServerUrl.parse(where, "url", url, {
    schemes: ["redis", "rediss"],
    // By the names that clients of several languages have for them.
    query: ["db", "database", "client_name", "clientName"],
    expected
  })
  const asked = query.db ?? query.database
  if (asked !== undefined && !/^\d+$/.test(asked)) Validate.refuse(where, "url", `?db=${asked}`, "a number")
  const isOne = path === undefined || (/^\d+$/.test(path) && (asked === undefined || asked === path))
  if (!isOne) Validate.refuse(where, "url", "<redacted>", expected)
  const database = path ?? asked
  return {
    host,
    port,
    isTls: scheme === "rediss",
    username,
    password,
    database: database === undefined ? undefined : Number(database),
    clientName: query.client_name ?? query.clientName
  }
}
