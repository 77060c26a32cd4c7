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
import * as Address from "effect-client-service-driver/Address"
import * as Validate from "effect-client-service-driver/Validate"
import type { AmqpConnection } from "./AmqpConnection.js"
import { AmqpError } from "./AmqpError.js"
import { connect, type Settings } from "./internal/connection.js"

/**
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions {
  /**
   * `amqp://[username[:password]@]host[:port][/vhost]`, or `amqps://` for TLS. Other options take the place of what it
   * says.
   */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /** A name or an IP address. Default `localhost`. */
  readonly host?: string | undefined
  /** Default 5672, or 5671 for TLS. */
  readonly port?: number | undefined
  /** Default `guest`. */
  readonly username?: string | undefined
  /** Default `guest`. */
  readonly password?: Redacted.Redacted<string> | undefined
  /** The virtual host. Default `/`. */
  readonly vhost?: string | undefined
  /** What the server calls the connection, in its list of connections. */
  readonly connectionName?: string | undefined
  /** The name of the endpoint, in logs, spans and errors. Default: its URL, without credentials. */
  readonly name?: string | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> extends Omit<ServerOptions, "password"> {
  /**
   * The password. An Effect that gives it runs at every attempt; if it fails, the attempt fails by an `AmqpError` of
   * reason `Authentication`. Default `guest`.
   */
  readonly password?: Redacted.Redacted<string> | Effect.Effect<Redacted.Redacted<string>, unknown, R> | undefined
  /** Speaks TLS, with options of `node:tls`, or without any. Default: as the URL says, or not. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /**
   * How long either side may be silent before it sends a sign of life, in whole seconds; or `false` for none. The
   * connection is lost when the server is silent for two to three times as long. The server may ask for less. Default 10
   * seconds.
   */
  readonly heartbeat?: Duration.DurationInput | false | undefined
  /** How long closing waits for what was sent to be done, and for the server's answer. Default 1 second. */
  readonly linger?: Duration.DurationInput | undefined
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
  const { password, settings } = settingsOf(options)
  return Endpoint.make({
    name: settings.name,
    connect: (signal: Endpoint.ConnectionSignal<AmqpError>) =>
      Effect.flatMap(passwordOf(password, settings.name), (password) => connect(settings, password, signal))
  })
}

const where = "AmqpEndpoint.make"

const passwordOf = <R>(password: Options<R>["password"], endpoint: string): Effect.Effect<string, AmqpError, R> => {
  if (password === undefined) return Effect.succeed("guest")
  if (Redacted.isRedacted(password)) return Effect.succeed(Redacted.value(password))
  return Effect.mapBoth(password, {
    onSuccess: Redacted.value,
    onFailure: (cause) =>
      new AmqpError({ reason: "Authentication", endpoint, detail: "there is no password to be had", cause })
  })
}

const settingsOf = <R>(
  options: Options<R>
): { readonly password: Options<R>["password"]; readonly settings: Settings } => {
  const url = options.url === undefined ? undefined : parsed(options.url)
  const tls = options.tls ?? url?.isTls ?? false
  const port = Validate.integer(where, "port", options.port ?? url?.port ?? (tls === false ? 5672 : 5671), 1, 65_535)
  const host = Address.host(where, "host", options.host ?? url?.host ?? "localhost")
  const vhost = Validate.text(where, "vhost", options.vhost ?? url?.vhost ?? "/")
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const path = vhost === "/" ? "" : `/${encodeURIComponent(vhost)}`
  const name = options.name ?? `${tls === false ? "amqp" : "amqps"}://${authority}${path}`
  return {
    password: options.password ?? url?.password,
    settings: {
      name: Validate.text(where, "name", name),
      host,
      port,
      tls: tls === true ? {} : tls === false ? undefined : tls,
      username: options.username ?? url?.username ?? "guest",
      vhost,
      heartbeat: heartbeatOf(options.heartbeat ?? "10 seconds"),
      connectionName: options.connectionName,
      linger: Validate.finiteDuration(where, "linger", options.linger ?? Duration.seconds(1))
    }
  }
}

// The protocol has it as a number of 16 bits.
const heartbeatOf = (heartbeat: Duration.DurationInput | false): number => {
  if (heartbeat === false) return 0
  const seconds = Duration.toSeconds(Validate.positiveDuration(where, "heartbeat", heartbeat))
  if (Number.isInteger(seconds) && seconds <= 65_535) return seconds
  return Validate.refuse(where, "heartbeat", heartbeat, "a duration of whole seconds, up to 65535, or false")
}

interface Parsed {
  readonly host: string
  readonly port: number | undefined
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly vhost: string | undefined
}

const parsed = (url: string | Redacted.Redacted<string>): Parsed => {
  try {
    const { hash, hostname, password, pathname, port, protocol, search, username } = new URL(
      typeof url === "string" ? url : Redacted.value(url)
    )
    const isAmqp = protocol === "amqp:" || protocol === "amqps:"
    if (isAmqp && hostname !== "" && !pathname.slice(1).includes("/") && search === "" && hash === "")
      return {
        host: decodeURIComponent(hostname),
        port: port === "" ? undefined : Number(port),
        isTls: protocol === "amqps:",
        username: username === "" ? undefined : decodeURIComponent(username),
        password: password === "" ? undefined : Redacted.make(decodeURIComponent(password)),
        vhost: pathname.length > 1 ? decodeURIComponent(pathname.slice(1)) : undefined
      }
  } catch {
    // What is wrong with it may be next to the password, so that is not told.
  }
  return Validate.refuse(where, "url", "<redacted>", "amqp://[username[:password]@]host[:port][/vhost]")
}
