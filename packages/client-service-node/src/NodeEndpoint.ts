/**
 * Endpoints over the sockets of Node.js: TCP, TLS, Unix and WebSocket.
 *
 * @since 0.1.0
 */

import * as Net from "node:net"
import type * as Tls from "node:tls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import * as Endpoint from "effect-client-service/Endpoint"
import * as Incoming from "effect-client-service/Incoming"
import type * as Transport from "effect-client-service/Transport"
import type { WebSocketError } from "effect-client-service/WebSocketError"
import * as Address from "effect-client-service-driver/Address"
import * as Validate from "effect-client-service-driver/Validate"
import { type ConnectError, fromNodeError } from "./ConnectError.js"
import { HalfOpen } from "./internal/halfOpen.js"
import * as OverIp from "./internal/overIp.js"
import { ownLosses } from "./internal/ownLosses.js"
import { alpnProtocols, overTls, secureOptions } from "./internal/secure.js"
import { type Settings, SocketTransport } from "./internal/socketTransport.js"
import { webSocketEndpoint } from "./internal/webSocket.js"

/**
 * Options of all endpoints.
 *
 * @since 0.1.0
 * @category options
 */
export interface SocketOptions {
  /** The name of the endpoint, for logs, spans and errors. Default: its address, such as `tcp://127.0.0.1:6379`. */
  readonly name?: string | undefined
  /**
   * How long closing waits until what was written is sent and the peer has closed as well, before the socket is
   * destroyed. Keep it below the `closeTimeout` of the service. Default 1 second.
   */
  readonly linger?: Duration.DurationInput | undefined
  /**
   * Whether the connection goes on when the peer has ended its side, for those who still have to send: the end is that of
   * `incoming` alone then, and the connection is lost once this side has ended too, by `end`, or it breaks, of which the next
   * write tells: a socket that has come to its end is not looked at any more. Default false: the end of the peer is the loss.
   */
  readonly allowHalfOpen?: boolean | undefined
}

/**
 * Options of a TCP endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface TcpOptions extends SocketOptions, DialOptions {
  /**
   * A name or an IP address. A name is looked up at every attempt, and its addresses are raced, IPv6 and IPv4 in turn, as
   * RFC 8305 ("Happy Eyeballs") has it. A name in any script, brackets around an address, white space around either, and
   * a dot at the end are taken as the wire does, which has none of them.
   */
  readonly host: string
  /** From 1 to 65535. */
  readonly port: number
  /** Sends small writes at once rather than gather them (`TCP_NODELAY`). Default true. */
  readonly noDelay?: boolean | undefined
}

/**
 * Options of how the socket of an endpoint over IP is made.
 *
 * @since 0.1.0
 * @category options
 */
export interface DialOptions {
  /** Takes only the addresses of this version of IP. Default: those of either, or of the same as `localAddress`. */
  readonly family?: 4 | 6 | undefined
  /**
   * How long one address of a name has before the next is tried too. When one fails, the next is tried at once. Default
   * 250 milliseconds.
   */
  readonly attemptDelay?: Duration.DurationInput | undefined
  /**
   * How long the look-up of a name may take, before the attempt fails with an error of reason `Dns` and code `ETIMEOUT`.
   * Keep it below the `connectTimeout` of the service, which does not tell what hangs. Default 10 seconds.
   */
  readonly lookupTimeout?: Duration.DurationInput | undefined
  /** The local address to connect from. Default: the system's choice. */
  readonly localAddress?: string | undefined
  /** Has the system probe a silent peer (`SO_KEEPALIVE`). Default true. */
  readonly keepAlive?: boolean | undefined
  /** How long the peer is silent before the first such probe, in whole seconds of at least 1. Default 30 seconds. */
  readonly keepAliveInitialDelay?: Duration.DurationInput | undefined
}

/**
 * Options of a Unix socket endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface UnixOptions extends SocketOptions {
  /** The path of the socket. */
  readonly path: string
}

/**
 * Options of TLS. An Effect that gives one of them runs at every attempt, so that a certificate that is renewed needs no
 * restart.
 *
 * @since 0.1.0
 * @category options
 */
export interface TlsSettings<out E = never, out R = never> {
  /** The certificates to trust instead of the well-known ones, in PEM. Default: the well-known ones. */
  readonly ca?: Pem | ReadonlyArray<Pem> | Effect.Effect<Pem | ReadonlyArray<Pem>, E, R> | undefined
  /** The certificate of this client, in PEM, with its chain. Default: none. */
  readonly cert?: Pem | Effect.Effect<Pem, E, R> | undefined
  /** The private key of this client, in PEM. Default: none. */
  readonly key?: Pem | Effect.Effect<Pem, E, R> | undefined
  /** The passphrase of `key`. Default: none. */
  readonly passphrase?: string | Effect.Effect<string, E, R> | undefined
  /**
   * Gives `ca`, `cert`, `key` and `passphrase` together, in the place of those options, at every attempt: such as `read` of
   * `TlsFiles`, or an authority that issues a certificate with its key. Default: none.
   */
  readonly credentials?: Effect.Effect<TlsCredentials, E, R> | undefined
  /** The name to ask the server for and to check its certificate against. Default: the host, unless it is an address. */
  readonly servername?: string | undefined
  /** The lowest version of TLS to accept. Default: that of Node.js, TLS 1.2. */
  readonly minVersion?: Tls.SecureVersion | undefined
  /** The cipher suites to offer, in the format of OpenSSL. Default: those of Node.js. */
  readonly ciphers?: string | undefined
  /**
   * Gives an error if the certificate, which is verified, is not that of the host: in place of the check of its names,
   * `tls.checkServerIdentity`, such as to know a server by its fingerprint. Default: that check.
   */
  readonly checkServerIdentity?: ((host: string, certificate: Tls.PeerCertificate) => Error | undefined) | undefined
  /**
   * Whether to refuse a server whose certificate can't be verified. Default true. With `false`, anyone on the way can read
   * and change what is sent: give the certificate of a server of your own as `ca` instead.
   */
  readonly rejectUnauthorized?: boolean | undefined
}

/**
 * Options of a TLS endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface TlsOptions<out E = never, out R = never> extends TcpOptions, TlsSettings<E, R> {
  /** The application protocols to offer, the preferred one first. Default: none. */
  readonly ALPNProtocols?: ReadonlyArray<string> | undefined
}

/**
 * A transport over TLS.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsTransport extends Transport.Transport {
  /** The application protocol that the server has chosen of those that were offered, if any. */
  readonly alpnProtocol: string | undefined
}

/**
 * What a client trusts, and who it is.
 *
 * @since 0.1.0
 * @category options
 */
export interface TlsCredentials {
  /** The certificates to trust, in PEM. */
  readonly ca?: Pem | ReadonlyArray<Pem> | undefined
  /** The certificate of this client, in PEM, with its chain. */
  readonly cert?: Pem | undefined
  /** The private key of this client, in PEM. */
  readonly key?: Pem | undefined
  /** The passphrase of `key`. */
  readonly passphrase?: string | undefined
}

/**
 * A certificate or a key, in PEM.
 *
 * @since 0.1.0
 * @category options
 */
export type Pem = string | Uint8Array

/**
 * Connects by TCP.
 *
 * @example
 * ```ts
 * import { NodeEndpoint } from "effect-client-service-node"
 *
 * const redis = NodeEndpoint.tcp({ host: "127.0.0.1", port: 6379 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const tcp = (options: TcpOptions): Endpoint.Endpoint<Transport.Transport, ConnectError> =>
  overIp("NodeEndpoint.tcp", "tcp", options, () => Effect.succeed(OverIp.overTcp))

/**
 * Connects to a Unix socket.
 *
 * @example
 * ```ts
 * import { NodeEndpoint } from "effect-client-service-node"
 *
 * const docker = NodeEndpoint.unix({ path: "/var/run/docker.sock" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const unix = (options: UnixOptions): Endpoint.Endpoint<Transport.Transport, ConnectError> => {
  const where = "NodeEndpoint.unix"
  const path = Address.path(where, "path", Validate.object(where, "options", options).path)
  // As Linux shows an abstract socket: its NUL would be in logs and errors.
  const address = path.replace(/^\0/, "@")
  // In a URL, the first part of a relative path would be a host.
  const name = nameOf(where, options, address.startsWith("/") ? `unix://${address}` : `unix:${address}`)
  const linger = lingerOf(where, options)
  const allowHalfOpen = Validate.boolean(where, "allowHalfOpen", options.allowHalfOpen ?? false)
  const connect = () => Net.connect({ path, allowHalfOpen })
  return Endpoint.make({
    name,
    server: { address, transport: "unix" },
    connect: dial({ address, openEvent: "connect", connect, tune: () => {}, linger, allowHalfOpen })
  })
}

/**
 * Connects by TLS. The endpoint is connected once the handshake is done and the certificate of the server verified. So
 * is the race between the addresses of a name: one that accepts connections but answers no handshake does not win it.
 *
 * A connection that ends without the end of TLS, as when the server is killed, was not closed by the server: `incoming`
 * fails, and the connection is lost with a `ConnectError` of reason `Reset`. So it is if a reset comes in one turn of the event
 * loop with the last bytes, of which nothing tells whether the end of TLS is among them.
 *
 * @example
 * ```ts
 * import { NodeEndpoint } from "effect-client-service-node"
 *
 * const broker = NodeEndpoint.tls({ host: "broker.example.com", port: 8883, ALPNProtocols: ["mqtt"] })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export function tls<E = never, R = never>(
  options: TlsOptions<E, R>
): Endpoint.Endpoint<TlsTransport, ConnectError | Types.NoInfer<E>, Exclude<Types.NoInfer<R>, Scope.Scope>>
export function tls<E, R>(
  options: TlsOptions<E, R>
): Endpoint.Endpoint<TlsTransport, ConnectError | E, Exclude<R, Scope.Scope>> {
  const where = "NodeEndpoint.tls"
  Validate.object(where, "options", options)
  const ALPNProtocols =
    options.ALPNProtocols === undefined ? {} : { ALPNProtocols: alpnProtocols(where, options.ALPNProtocols) }
  return overIp(where, "tls", options, (target) =>
    Effect.map(secureOptions(where, options, OverIp.addressOf(target)), (secure) =>
      overTls({ ...secure, ...ALPNProtocols }, target.host)
    )
  )
}

/**
 * Options of a WebSocket endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface WebSocketOptions<
  out EH = never,
  out RH = never,
  out EP = never,
  out RP = never,
  out ET = never,
  out RT = never
> extends Endpoint.WebSocketOptions<EP, RP>,
    DialOptions {
  /**
   * The headers to send, besides those of every WebSocket, which are refused. An Effect runs at every attempt. Default: none.
   */
  readonly headers?: Headers | Effect.Effect<Headers, EH, RH> | undefined
  /** TLS, if the URL is one of `wss:`. */
  readonly tls?: TlsSettings<ET, RT> | undefined
  /**
   * The most bytes that a message may have once it is inflated. The connection is lost with a larger one. Default
   * `receiveBuffer`.
   */
  readonly maxPayload?: number | undefined
  /** Whether to offer to compress messages, and how. Default true. */
  readonly perMessageDeflate?: boolean | PerMessageDeflate | undefined
  /**
   * A heartbeat by the control frames of the protocol: a ping every `interval`, by default 30 seconds, and the connection
   * is lost if there is no pong, and nothing else comes for as long as `timeout`, by default 10 seconds. A server that is
   * held back, since what it has sent is not read, is not judged. What came before is the reader's, as at any end. Default: none.
   */
  readonly ping?:
    | {
        readonly interval?: Duration.DurationInput | undefined
        readonly timeout?: Duration.DurationInput | undefined
      }
    | undefined
}

/**
 * How messages of a WebSocket are compressed (RFC 7692).
 *
 * @since 0.1.0
 * @category options
 */
export interface PerMessageDeflate {
  /** How many bytes a message has at least to be compressed: with `Infinity`, none that is sent is. Default 1024. */
  readonly threshold?: number | undefined
  /** Keeps nothing in memory between messages that are sent, which are compressed less. Default false. */
  readonly clientNoContextTakeover?: boolean | undefined
  /** Asks the server for the same. Default false. */
  readonly serverNoContextTakeover?: boolean | undefined
}

/**
 * The headers of a request, by their names.
 *
 * @since 0.1.0
 * @category options
 */
export type Headers = Readonly<Record<string, string>>

/**
 * Connects by a WebSocket, as `Endpoint.webSocket` of `effect-client-service` does, and can send headers with it. It needs
 * no `WebSocketConstructor`: the WebSocket is that of `ws`, since Node.js 20 has none of its own. The connection is made as
 * `tcp` and `tls` make theirs: all addresses of a name are raced.
 *
 * While nobody reads and `receiveBuffer` is full, the peer is pushed back.
 *
 * The `WebSocketOpenError` of an attempt tells why it failed: its `cause` is the `ConnectError` of a connection that could
 * not be made; of an answer of HTTP it has the status, and the headers that tell when to come again and how to log in:
 * `retry-after`, `www-authenticate` and those of a rate limit.
 *
 * No value of a header that is sent is in any name, error, log or span.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { NodeEndpoint } from "effect-client-service-node"
 *
 * declare const fetchToken: Effect.Effect<string>
 *
 * const feed = NodeEndpoint.webSocket("wss://example.com/feed", {
 *   headers: Effect.map(fetchToken, (token) => ({ authorization: `Bearer ${token}` }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption as `Endpoint.webSocket`, `tcp` and `tls` do, and if HTTP does not allow a header,
 * or it is one of the handshake
 */
export function webSocket<EH = never, RH = never, EP = never, RP = never, ET = never, RT = never>(
  url: string,
  options?: WebSocketOptions<EH, RH, EP, RP, ET, RT>
): Endpoint.Endpoint<
  Transport.WebSocketTransport,
  Types.NoInfer<EH> | Types.NoInfer<EP> | Types.NoInfer<ET> | WebSocketError | Transport.TransportError,
  Exclude<Types.NoInfer<RH> | Types.NoInfer<RP> | Types.NoInfer<RT>, Scope.Scope>
>
export function webSocket<E = never, R = never, EH = never, RH = never, EP = never, RP = never, ET = never, RT = never>(
  url: string | Effect.Effect<string, E, R>,
  options?: WebSocketOptions<EH, RH, EP, RP, ET, RT>
): Endpoint.Endpoint<
  Transport.WebSocketTransport,
  E | Types.NoInfer<EH> | Types.NoInfer<EP> | Types.NoInfer<ET> | WebSocketError | Transport.TransportError,
  Exclude<R | Types.NoInfer<RH> | Types.NoInfer<RP> | Types.NoInfer<RT>, Scope.Scope>
>
// Without `NoInfer`, what is not given would be inferred from what the caller does with the endpoint.
export function webSocket<E, R, EH, RH, EP, RP, ET, RT>(
  url: string | Effect.Effect<string, E, R>,
  options: WebSocketOptions<EH, RH, EP, RP, ET, RT> = {}
): Endpoint.Endpoint<
  Transport.WebSocketTransport,
  E | EH | EP | ET | WebSocketError | Transport.TransportError,
  Exclude<R | RH | RP | RT, Scope.Scope>
> {
  const where = "NodeEndpoint.webSocket"
  Validate.object(where, "options", options)
  return webSocketEndpoint(where, url, options, {
    ip: ipSettings(where, options),
    connection: connectionOptions(where, options),
    tune: tuning(where, options)
  })
}

interface Dial extends Omit<Settings, "incoming" | "halfOpen"> {
  readonly connect: () => Net.Socket
  readonly allowHalfOpen: boolean
}

/** Makes one connection by one socket. */
const dial =
  ({ allowHalfOpen, connect, ...settings }: Dial) =>
  (signal: Endpoint.ConnectionSignal<ConnectError>): Effect.Effect<SocketTransport, ConnectError, Scope.Scope> => {
    const halfOpen = allowHalfOpen ? new HalfOpen(signal) : undefined
    // Not acquireRelease, whose finalizer restores the whole context of the attempt: closing needs none of it.
    return Effect.flatMap(
      Effect.zip(Effect.scope, incomingOf(settings.linger, halfOpen ?? signal)),
      ([scope, incoming]) =>
        Effect.try({
          try: () => new SocketTransport(connect(), { ...settings, incoming, halfOpen }),
          catch: (error) => fromNodeError(error, settings.address)
        }).pipe(
          Effect.tap((transport) => Scope.addFinalizer(scope, transport.close)),
          Effect.uninterruptible,
          Effect.flatMap((transport) => transport.whenOpen)
        )
    )
  }

// Eight chunks of 64 KiB. To hold the socket back for each would cost a turn of the event loop each.
const incomingOf = (linger: Duration.Duration, signal: Endpoint.ConnectionSignal<ConnectError>) =>
  Incoming.make<ConnectError>({ lost: ownLosses(signal), linger: Duration.toMillis(linger), capacity: 512 * 1024 })

/** Connects by one socket to each address of a host, that is of a kind that is made for every attempt. */
const overIp = <E, R>(
  where: string,
  scheme: string,
  options: TcpOptions,
  kindOf: (target: OverIp.Target) => Effect.Effect<OverIp.Kind, ConnectError | E, R>
): Endpoint.Endpoint<SocketTransport, ConnectError | E, Exclude<R, Scope.Scope>> => {
  const host = Address.host(where, "host", Validate.object(where, "options", options).host)
  const port = Validate.integer(where, "port", options.port, 1, 65535)
  const target = OverIp.targetOf(options.host, host, port)
  const name = nameOf(where, options, `${scheme}://${OverIp.addressOf(target)}`)
  const ip = ipSettings(where, options)
  const problem = OverIp.problemOfVersion(target, ip)
  if (problem !== undefined) Validate.refuse(where, "host", options.host, problem)
  const connection = connectionOptions(where, options)
  const linger = lingerOf(where, options)
  const allowHalfOpen = Validate.boolean(where, "allowHalfOpen", options.allowHalfOpen ?? false)
  const tune = tuning(where, options)
  const kind = kindOf(target)
  return Endpoint.make({
    name,
    server: { address: host, port, transport: "tcp" },
    connect: (signal: Endpoint.ConnectionSignal<ConnectError>) => Effect.succeed(signal)
  }).pipe(
    Endpoint.mapEffect((signal) =>
      Effect.flatMap(kind, ({ connect, openEvent }) =>
        OverIp.overIp(target, ip, (to) =>
          dial({
            address: OverIp.addressOf(to),
            openEvent,
            connect: () => connect({ ...connection, ...to, allowHalfOpen }),
            tune,
            linger,
            allowHalfOpen
          })
        )(signal)
      )
    )
  )
}

const ipSettings = (
  where: string,
  { attemptDelay = "250 millis", lookupTimeout = "10 seconds", ...options }: DialOptions
): OverIp.Settings => ({
  attemptDelay: Validate.duration(where, "attemptDelay", attemptDelay),
  lookupTimeout: Validate.positiveDuration(where, "lookupTimeout", lookupTimeout),
  family: familyOf(where, options)
})

const connectionOptions = (where: string, { localAddress }: DialOptions): OverIp.Connection =>
  localAddress === undefined ? {} : { localAddress: localAddressOf(where, localAddress) }

const localAddressOf = (where: string, localAddress: string): string => {
  const address = Address.host(where, "localAddress", localAddress)
  if (Net.isIP(address) !== 0) return address
  return Validate.refuse(where, "localAddress", localAddress, "an IP address")
}

const nameOf = (where: string, { name }: SocketOptions, defaultName: string): string =>
  Validate.text(where, "name", name ?? defaultName)

const lingerOf = (where: string, { linger = "1 second" }: SocketOptions): Duration.Duration =>
  Validate.finiteDuration(where, "linger", linger)

/** The version of IP to look addresses up of, or 0 for either. */
const familyOf = (where: string, { family, localAddress }: DialOptions): number => {
  if (family !== undefined && family !== 4 && family !== 6) return Validate.refuse(where, "family", family, "4 or 6")
  if (localAddress === undefined) return family ?? 0
  const own = Net.isIP(localAddressOf(where, localAddress))
  if (family !== undefined && family !== own) Validate.refuse(where, "family", family, `${own}, as localAddress is`)
  return own
}

const tuning = (
  where: string,
  { keepAliveInitialDelay = "30 seconds", ...options }: DialOptions & Pick<TcpOptions, "noDelay">
): Settings["tune"] => {
  const keepAlive = Validate.boolean(where, "keepAlive", options.keepAlive ?? true)
  const noDelay = Validate.boolean(where, "noDelay", options.noDelay ?? true)
  const delay = Validate.finiteDuration(where, "keepAliveInitialDelay", keepAliveInitialDelay)
  // Node.js takes less than a second for the system's default, two hours, and so does the system what is too long.
  const seconds = Math.min(Math.max(1, Math.ceil(Duration.toSeconds(delay))), 32767)
  return (socket) => {
    socket.setNoDelay(noDelay).setKeepAlive(keepAlive, seconds * 1000)
  }
}
