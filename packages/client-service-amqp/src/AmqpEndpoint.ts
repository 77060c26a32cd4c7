/**
 * AMQP servers as endpoints of a `ClientService`.
 *
 * @since 0.1.0
 */
import type { ConnectionOptions } from "node:tls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Endpoint from "effect-client-service/Endpoint"
import { InvalidOption } from "effect-client-service/InvalidOption"
import * as Address from "effect-client-service-driver/Address"
import * as Credential from "effect-client-service-driver/Credential"
import * as ServerUrl from "effect-client-service-driver/ServerUrl"
import * as Validate from "effect-client-service-driver/Validate"
import type { AmqpConnection } from "./AmqpConnection.js"
import { AmqpError } from "./AmqpError.js"
import { ChannelLimit } from "./internal/channels.js"
import { connect } from "./internal/connection.js"
import { parts, type Query, queryOf } from "./internal/query.js"
import type * as settings from "./internal/settings.js"
import type { Secret, Settings } from "./internal/settings.js"

/**
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions {
  /**
   * `amqp://[username[:password]@]host[:port][/vhost]`, or `amqps://` for TLS. Its query may have, as RabbitMQ has them:
   * `heartbeat` (in seconds), `connection_timeout` (in milliseconds), `frame_max`, `channel_max`, `locale`,
   * `auth_mechanism`, `connection_name`, and for TLS `cacertfile`, `certfile`, `keyfile`, `verify` (`verify_peer` or
   * `verify_none`) and `server_name_indication`; `frameMax` and `channelMax` as well. Any other part is refused. Other
   * options take the place of what it says.
   */
  readonly url?: Credential.Secret | undefined
  /** A name or an IP address. Default `localhost`. */
  readonly host?: string | undefined
  /** Default 5672, or 5671 for TLS. */
  readonly port?: number | undefined
  /** Default `guest`. */
  readonly username?: string | undefined
  /** Default `guest`. */
  readonly password?: Credential.Secret | undefined
  /** The virtual host. Default `/`. */
  readonly vhost?: string | undefined
  /** What the server calls the connection, in its list of connections. */
  readonly connectionName?: string | undefined
  /**
   * How to log in. `EXTERNAL` is by the certificate that `tls` has, if the server knows users by that. Default `PLAIN`.
   */
  readonly mechanism?: Mechanism | undefined
  /** How large a frame may be, in bytes, at least 4,096; the server may ask for less. Default 131,072. */
  readonly frameMax?: number | undefined
  /** How many channels there may be; the server may ask for fewer. Default: as many as the server grants. */
  readonly channelMax?: number | undefined
  /** The name of the endpoint, in logs, spans and errors. Default: its URL, without credentials. */
  readonly name?: string | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> extends Omit<ServerOptions, "password"> {
  /**
   * The password, or the token. An Effect that gives it runs at every attempt; if it fails, the attempt fails by an
   * `AmqpError` of reason `Credentials`, and the next one asks again. With one that expires, the Effect runs again when
   * three quarters of its time have passed, and the server is told the new one. Default `guest`.
   */
  readonly password?: Credential.Secret | Effect.Effect<Credential.Secret | ExpiringPassword, unknown, R> | undefined
  /**
   * Speaks TLS, with options of `node:tls`, or without any. An Effect that gives them, such as `read` of the `TlsFiles` of
   * `effect-client-service-node`, runs at every attempt; if it fails, the attempt fails as for a password that can't be had.
   * Default: as the URL says, or not.
   */
  readonly tls?: boolean | Credential.Fresh<ConnectionOptions, R> | undefined
  /**
   * How long either side may be silent before it sends a sign of life, in whole seconds; or `false` for none. The
   * connection is lost when the server is silent for two to three times as long. The server may ask for less. Default 10
   * seconds.
   */
  readonly heartbeat?: Duration.DurationInput | false | undefined
  /**
   * How long it may take to connect and to log in. Default: no limit of its own, but the `connectTimeout` of the service.
   */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * How many messages, and how many calls, may wait for a channel or for a server that takes them; beyond that, one fails at
   * once with an `AmqpError` of reason `Overloaded`. Default 100,000.
   */
  readonly maxWaiting?: number | undefined
  /**
   * How long closing waits for the server: half of it for all channels, until what was sent is done, and the rest for the
   * connection. Default 1 second.
   */
  readonly linger?: Duration.DurationInput | undefined
}

/**
 * The mechanisms of SASL, by which a client logs in.
 *
 * @since 0.1.0
 * @category options
 */
export type Mechanism = settings.Mechanism

/**
 * A password, or a token, that the server does not take for ever.
 *
 * @since 0.1.0
 * @category options
 */
export interface ExpiringPassword {
  readonly value: Credential.Secret
  /** More than zero. */
  readonly expiresIn: Duration.DurationInput
}

/**
 * Connects to a server of AMQP 0-9-1, such as RabbitMQ. An attempt connects, logs in, opens the virtual host, and a channel
 * for messages.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { AmqpEndpoint } from "effect-client-service-amqp"
 *
 * const broker = AmqpEndpoint.make({
 *   host: "rabbitmq.example.com",
 *   username: "app",
 *   password: Redacted.make("secret")
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <R = never>(options: Options<R>): Endpoint.Endpoint<AmqpConnection, AmqpError, R> => {
  const { password, settings, tls } = settingsOf(options)
  return Endpoint.make({
    name: settings.name,
    server: { address: settings.host, port: settings.port, transport: "tcp" },
    connect: (signal: Endpoint.ConnectionSignal<AmqpError>) =>
      Effect.flatMap(Effect.context<R>(), (context) =>
        connect(
          settings,
          Effect.provide(secretOf(password, settings.name), context),
          Effect.provide(tlsOptionsOf(tls, settings.name), context),
          signal
        )
      )
  })
}

const where = "AmqpEndpoint.make"

const secretOf = <R>(password: Options<R>["password"], endpoint: string): Effect.Effect<Secret, AmqpError, R> => {
  if (!Credential.isFresh(password)) return Effect.succeed(lasting(Credential.textOf(password ?? "guest")))
  const failed = failedOf(endpoint)
  // A secret is told of by a name alone, as `Credential.reveal` does it.
  const obtained = Credential.obtain(password, (cause) => failed(cause, Credential.nameOf(cause)))
  return Effect.flatMap(obtained, (given) =>
    typeof given === "string" || Redacted.isRedacted(given)
      ? Effect.succeed(lasting(Credential.textOf(given)))
      : Effect.try({
          try: () => ({
            value: Credential.textOf(given.value),
            expiresIn: Validate.positiveDuration(where, "password.expiresIn", given.expiresIn)
          }),
          // As of a source that has a token for longer than that is valid: it may have another one next.
          catch: (cause) => failed(cause, cause instanceof InvalidOption ? cause.message : undefined)
        })
  )
}

const tlsOptionsOf = <R>(
  tls: Exclude<Options<R>["tls"], undefined>,
  endpoint: string
): Effect.Effect<ConnectionOptions, AmqpError, R> =>
  typeof tls === "boolean" ? Effect.succeed({}) : Credential.obtain(tls, failedOf(endpoint))

const failedOf =
  (endpoint: string): Credential.OnFailure<AmqpError> =>
  (cause, detail) =>
    new AmqpError({ reason: "Credentials", endpoint, detail, cause })

const lasting = (value: string): Secret => ({ value, expiresIn: Duration.infinity })

const settingsOf = <R>(
  options: Options<R>
): {
  readonly password: Options<R>["password"]
  readonly tls: Exclude<Options<R>["tls"], undefined>
  readonly settings: Settings
} => {
  const url = options.url === undefined ? undefined : parsed(options.url)
  const query = url?.query
  const tls = options.tls ?? url?.isTls ?? false
  // A default for `undefined` alone: `null` is a mistake of the configuration.
  const { host: givenHost = url?.host ?? "localhost", port: givenPort = url?.port ?? (tls === false ? 5672 : 5671) } =
    options
  const port = Validate.integer(where, "port", givenPort, 1, 65_535)
  const host = Address.host(where, "host", givenHost)
  const vhost = Validate.text(where, "vhost", options.vhost ?? url?.vhost ?? "/")
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const path = vhost === "/" ? "" : `/${encodeURIComponent(vhost)}`
  const name = options.name ?? `${tls === false ? "amqp" : "amqps"}://${authority}${path}`
  const frameMax = options.frameMax ?? query?.frameMax ?? 131_072
  // Without a limit, what the client reads would have none either.
  if (frameMax !== 0 || options.frameMax !== undefined) Validate.integer(where, "frameMax", frameMax, 4096, 2 ** 31 - 1)
  return {
    password: options.password ?? url?.password,
    tls,
    settings: {
      name: Validate.text(where, "name", name),
      host,
      port,
      tls: tls === false ? undefined : tlsOf(query),
      tlsFiles: query?.tlsFiles ?? {},
      username: options.username ?? url?.username ?? "guest",
      mechanism: mechanismOf(options.mechanism ?? query?.mechanism ?? "PLAIN"),
      isAskedAgain: Credential.isFresh(options.password) || Credential.isFresh(options.tls),
      vhost,
      heartbeat: heartbeatOf(options.heartbeat ?? heartbeatOfQuery(query) ?? "10 seconds"),
      frameMax,
      channelMax: Validate.integer(where, "channelMax", options.channelMax ?? query?.channelMax ?? 0, 0, 65_535),
      channelLimit: new ChannelLimit(),
      locale: query?.locale ?? "en_US",
      connectionName: options.connectionName ?? query?.connectionName,
      maxWaiting: Validate.integer(where, "maxWaiting", options.maxWaiting ?? 100_000, 0),
      connectTimeout: Validate.positiveDuration(
        where,
        "connectTimeout",
        options.connectTimeout ?? query?.connectTimeout ?? Duration.infinity
      ),
      linger: Validate.finiteDuration(where, "linger", options.linger ?? Duration.seconds(1))
    }
  }
}

const tlsOf = (query: Query | undefined): ConnectionOptions => ({
  ...(query?.servername === undefined ? {} : { servername: query.servername }),
  ...(query?.isVerified === undefined ? {} : { rejectUnauthorized: query.isVerified })
})

const mechanismOf = (mechanism: Mechanism): Mechanism =>
  mechanisms.includes(mechanism) ? mechanism : Validate.refuse(where, "mechanism", mechanism, mechanisms.join(" or "))

const mechanisms: ReadonlyArray<Mechanism> = ["PLAIN", "AMQPLAIN", "EXTERNAL"]

const heartbeatOfQuery = (query: Query | undefined): Duration.DurationInput | false | undefined =>
  query?.heartbeat === undefined ? undefined : query.heartbeat !== 0 && Duration.seconds(query.heartbeat)

// The protocol has it as a number of 16 bits.
const heartbeatOf = (heartbeat: Duration.DurationInput | false): number => {
  if (heartbeat === false) return 0
  const seconds = Duration.toSeconds(Validate.positiveDuration(where, "heartbeat", heartbeat))
  if (Number.isInteger(seconds) && seconds <= 65_535) return seconds
  return Validate.refuse(where, "heartbeat", heartbeat, "a duration of whole seconds, up to 65535, or false")
}

const parsed = (given: Credential.Secret) => {
  const url = ServerUrl.parse(where, "url", given, {
    schemes: ["amqp", "amqps"],
    query: parts,
    expected: "amqp://[username[:password]@]host[:port][/vhost]"
  })
  return { ...url, isTls: url.scheme === "amqps", vhost: url.path, query: queryOf(where, url.query) }
}
