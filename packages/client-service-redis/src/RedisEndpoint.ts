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
import { connect, type Login, type Settings } from "./internal/connection.js"
import { connectToMaster } from "./internal/sentinels.js"
import type { RedisConnection } from "./RedisConnection.js"
import { RedisError } from "./RedisError.js"

/**
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions {
  /**
   * `redis://[[username][:password]@]host[:port][/database]`, `rediss://` for TLS, or
   * `unix://[[username][:password]@]/path` for a Unix socket. `?db=5` or `?database=5` gives the database too, and
   * `client_name` or `clientName` the name of the connection; any other query part is refused. Other options take the place of
   * what it says.
   */
  readonly url?: Credential.Secret | undefined
  /** A name or an IP address. Default `localhost`. */
  readonly host?: string | undefined
  /** Default 6379. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of `host` and `port`. */
  readonly path?: string | undefined
  /** The user of the server's ACL, who may have no password. Default: the server's default user. */
  readonly username?: string | undefined
  readonly password?: Credential.Secret | undefined
  /** The number of the database. Default 0. */
  readonly database?: number | undefined
  /** What the server calls the connection, in `CLIENT LIST`: a word of ASCII. */
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
  /**
   * TLS, with the options of `node:tls` if any. An Effect that gives them, such as `read` of the `TlsFiles` of
   * `effect-client-service-node`, runs for each connection; if it fails, the attempt fails as for a password that can't be had.
   * Default: as the URL says, or false.
   */
  readonly tls?: boolean | Credential.Fresh<ConnectionOptions, R> | undefined
  /** How long closing waits for the answers to what was sent. Default 1 second. */
  readonly linger?: Duration.DurationInput | undefined
  /**
   * How many commands, pipelines and transactions may be without their answer at a time, those that have a connection of their
   * own among them. Beyond that, callers wait. As many consumers of `readGroup` may read besides. Default 10,000.
   */
  readonly maxInFlight?: number | undefined
  /**
   * How many bytes of the arguments of calls may be without their answer at a time. Beyond that, callers wait, whose functions
   * are not called before there is room. A call that begins with room may be of any size. Those of `watch` are called one after
   * the other, each when there is room. Default 64 MiB.
   */
  readonly maxInFlightBytes?: number | undefined
  /**
   * How many callers may wait for `maxInFlight` or `maxInFlightBytes`. Beyond that, a call fails at once by a `RedisError` of
   * reason `Overloaded`. While there is a connection, as many callers of `session` may wait
   * for one of `maxSessions` besides. Default 100,000.
   */
  readonly maxWaiting?: number | undefined
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
  const { login, server, settings } = settingsOf(options)
  return Endpoint.make({
    name: settings.name,
    server,
    connect: (signal: Endpoint.ConnectionSignal<RedisError>) =>
      Effect.flatMap(Effect.context<R>(), (context) => connect(settings, Effect.provide(login, context), signal))
  })
}

/**
 * Where a sentinel listens.
 *
 * @since 0.1.0
 * @category options
 */
export interface SentinelAddress {
  /** A name or an IP address. */
  readonly host: string
  /** Default 26379. */
  readonly port?: number | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface SentinelOptions<R = never> extends Omit<Options<R>, "url" | "host" | "port" | "path"> {
  /** The sentinels, of which one that answers is enough. */
  readonly sentinels: ReadonlyArray<SentinelAddress>
  /** What the sentinels call the master, such as `mymaster`. */
  readonly master: string
  /** The user of the ACL of the sentinels. Default: their default user. */
  readonly sentinelUsername?: string | undefined
  /** The password of the sentinels, as `password` is that of the master. */
  readonly sentinelPassword?: Credential.Credential<R> | undefined
  /** TLS to the sentinels, as `tls` is that to the master. Default false. */
  readonly sentinelTls?: boolean | Credential.Fresh<ConnectionOptions, R> | undefined
  /** How long a sentinel has to answer before the next one is asked. Default 1 second. */
  readonly sentinelTimeout?: Duration.DurationInput | undefined
}

/**
 * Connects to the master that Redis Sentinel watches over, wherever it is at the moment. An attempt asks the sentinels in turn
 * where the master is, connects to what the first of them that knows says, and has it tell that it is the master (`ROLE`).
 * If not, the attempt fails by a `RedisError` of reason `NotReady`, and the next one begins with the next sentinel.
 *
 * An attempt fails by reason `NoMaster` if no sentinel knows the master, `NoSentinel` if none answers, and `Authentication`
 * if none takes the credentials. The `cause` is an `EndpointsFailed`, which tells what each of them said.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { RedisEndpoint } from "effect-client-service-redis"
 *
 * const cache = RedisEndpoint.sentinel({
 *   sentinels: [{ host: "sentinel-1.example.com" }, { host: "sentinel-2.example.com" }],
 *   master: "mymaster",
 *   password: Redacted.make("secret")
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const sentinel = <R = never>(options: SentinelOptions<R>): Endpoint.Endpoint<RedisConnection, RedisError, R> => {
  const where = "RedisEndpoint.sentinel"
  const { database, sentinelPassword, sentinelTls = false } = options
  const master = Validate.text(where, "master", options.master)
  const name = options.name ?? `sentinel://${master}${database === undefined ? "" : `/${database}`}`
  const settings = sharedSettingsOf(where, { ...options, name })
  if (options.sentinels.length === 0) Validate.refuse(where, "sentinels", options.sentinels, "one sentinel at least")
  const places = options.sentinels.map(({ host, port = 26_379 }, index) => ({
    host: Address.host(where, `sentinels[${index}].host`, host),
    port: Validate.integer(where, `sentinels[${index}].port`, port, 1, 65_535),
    path: undefined,
    isTls: sentinelTls !== false
  }))
  const sentinels = places.map(
    (place): Settings => ({
      ...settings,
      name: nameOf({ ...place, database: undefined }),
      socket: socketOf(place),
      username: options.sentinelUsername,
      database: undefined,
      isAskedAgain: isAskedAgain(sentinelPassword, sentinelTls),
      linger: Duration.zero
    })
  )
  const timeout = Validate.positiveDuration(where, "sentinelTimeout", options.sentinelTimeout ?? Duration.seconds(1))
  const attempt = connectToMaster({
    name,
    master,
    sentinels,
    timeout,
    settingsAt: (host, port) => ({
      ...settings,
      socket: socketOf({ host, port, path: undefined, isTls: (options.tls ?? false) !== false })
    })
  })
  return Endpoint.make({
    name,
    connect: (signal: Endpoint.ConnectionSignal<RedisError>) =>
      Effect.flatMap(Effect.context<R>(), (context) =>
        attempt(
          Effect.provide(loginOf(options.password, options.tls, name), context),
          Effect.provide(loginOf(sentinelPassword, sentinelTls, name), context),
          signal
        )
      )
  })
}

const loginOf = <R>(
  password: Options<R>["password"],
  tls: Options<R>["tls"],
  endpoint: string
): Effect.Effect<Login, RedisError, R> => {
  const failed: Credential.OnFailure<RedisError> = (cause, detail) =>
    new RedisError({ reason: "Credentials", endpoint, detail, cause })
  return Effect.all({
    password: password === undefined ? Effect.succeed(undefined) : Credential.reveal(password, failed),
    tls: tls === undefined || typeof tls === "boolean" ? Effect.succeed({}) : Credential.obtain(tls, failed)
  })
}

const isAskedAgain = <R>(password: Options<R>["password"], tls: Options<R>["tls"]): boolean =>
  (password !== undefined && Credential.isAskedAgain(password)) || Credential.isFresh(tls)

const settingsOf = <R>(
  options: Options<R>
): {
  readonly login: Effect.Effect<Login, RedisError, R>
  readonly server: Endpoint.ServerAddress
  readonly settings: Settings
} => {
  const where = "RedisEndpoint.make"
  const url = options.url === undefined ? undefined : parsed(where, options.url)
  // A default for `undefined` alone: `null` is a mistake of the configuration.
  const { host: givenHost = url?.host ?? "localhost", port: givenPort = url?.port ?? 6379 } = options
  const port = Validate.integer(where, "port", givenPort, 1, 65_535)
  const host = Address.host(where, "host", givenHost)
  const database = options.database ?? url?.database
  const isElsewhere = options.host !== undefined || options.port !== undefined
  const path = options.path ?? (isElsewhere ? undefined : url?.socketPath)
  if (path !== undefined) Address.path(where, "path", path)
  const tls = options.tls ?? url?.isTls ?? false
  const isTls = tls !== false
  const name = options.name ?? nameOf({ host, port, path, database, isTls })
  return {
    login: loginOf(options.password ?? url?.password, tls, name),
    server: path === undefined ? { address: host, port, transport: "tcp" } : { address: path, transport: "unix" },
    settings: {
      ...sharedSettingsOf(where, {
        ...options,
        name,
        username: options.username ?? url?.username,
        database,
        clientName: options.clientName ?? url?.clientName
      }),
      socket: socketOf({ host, port, path, isTls })
    }
  }
}

/** All but where to connect to. */
const sharedSettingsOf = <R>(
  where: string,
  options: Options<R> & { readonly name: string }
): Omit<Settings, "socket"> => ({
  name: Validate.text(where, "name", options.name),
  username: options.username,
  database: options.database === undefined ? undefined : Validate.integer(where, "database", options.database, 0),
  clientName: options.clientName === undefined ? undefined : wordOf(where, "clientName", options.clientName),
  isAskedAgain: isAskedAgain(options.password, options.tls),
  linger: Validate.finiteDuration(where, "linger", options.linger ?? Duration.seconds(1)),
  maxInFlight: Validate.integer(where, "maxInFlight", options.maxInFlight ?? 10_000, 1),
  maxInFlightBytes: Validate.integer(where, "maxInFlightBytes", options.maxInFlightBytes ?? 64 * 1024 * 1024, 1),
  maxWaiting: Validate.integer(where, "maxWaiting", options.maxWaiting ?? 100_000, 0)
})

// A server refuses a connection by another one for ever.
const wordOf = (where: string, option: string, value: string): string =>
  /^[!-~]*$/.test(value) ? value : Validate.refuse(where, option, value, "without spaces, and of ASCII")

interface Place {
  readonly host: string
  readonly port: number
  readonly path: string | undefined
  readonly isTls: boolean
}

const nameOf = ({ database, host, isTls, path, port }: Place & { readonly database: number | undefined }): string => {
  if (path !== undefined) return `unix://${path}${database === undefined ? "" : `?db=${database}`}`
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  return `${isTls ? "rediss" : "redis"}://${authority}${database === undefined ? "" : `/${database}`}`
}

const socketOf = ({ host, isTls, path, port }: Place): Settings["socket"] => {
  if (path !== undefined) return { path, tls: false }
  return isTls ? { host, port, tls: true } : { host, port }
}

const parsed = (where: string, url: Credential.Secret) => {
  const expected = "redis://[[username][:password]@]host[:port][/database] or unix://[[username][:password]@]/path"
  const [, login = "", socketPath, parts = ""] =
    /^unix:\/\/([^@/?#]*@)?(\/[^?#]+)(\?[^#]*)?$/i.exec(Credential.textOf(url)) ?? []
  // The URL of a socket has no host, without which it could not have the rest.
  const asked = socketPath === undefined ? url : `redis://${login}localhost${parts}`
  const { host, password, path, port, query, scheme, username } = ServerUrl.parse(where, "url", asked, {
    schemes: ["redis", "rediss"],
    // By the names that clients of several languages have for them.
    query: ["db", "database", "client_name", "clientName"],
    expected
  })
  const one = (name: string, ...values: ReadonlyArray<string | undefined>): string | undefined => {
    const [first, ...others] = new Set(values.filter((value) => value !== undefined))
    return others.length === 0 ? first : Validate.refuse(where, "url", `?${name}=`, "the same by each of its names")
  }
  const asNumber = one("db", query.db, query.database)
  if (asNumber !== undefined && !/^\d+$/.test(asNumber)) {
    // What follows a question mark in a password looks like a query.
    const mayTell = !/\?.*@/s.test(Credential.textOf(url))
    Validate.refuse(where, "url", mayTell ? `?db=${asNumber}` : "<redacted>", "a number")
  }
  const isOne = path === undefined || (/^\d+$/.test(path) && (asNumber === undefined || asNumber === path))
  if (!isOne) Validate.refuse(where, "url", "<redacted>", expected)
  const database = path ?? asNumber
  return {
    host,
    port,
    socketPath: socketPath === undefined ? undefined : decoded(where, socketPath, expected),
    isTls: scheme === "rediss",
    username,
    password,
    database: database === undefined ? undefined : Number(database),
    clientName: one("client_name", query.client_name, query.clientName)
  }
}

const decoded = (where: string, path: string, expected: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return Validate.refuse(where, "url", "<redacted>", expected)
  }
}
