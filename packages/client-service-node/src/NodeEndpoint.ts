/**
 * Endpoints over the sockets of Node.js: TCP, TLS, Unix and WebSocket.
 *
 * @since 0.1.0
 */

import * as Http from "node:http"
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Endpoint from "effect-client-service/Endpoint"
import type * as EndpointsFailed from "effect-client-service/EndpointsFailed"
import * as InvalidOption from "effect-client-service/InvalidOption"
import type * as Transport from "effect-client-service/Transport"
import type { WebSocketError } from "effect-client-service/WebSocketError"
import * as Validate from "effect-client-service-driver/Validate"
import { WebSocket } from "ws"
import { type ConnectError, fromNodeError } from "./ConnectError.js"
import { lookUp } from "./internal/lookUp.js"
import { type Settings, SocketTransport } from "./internal/socketTransport.js"

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
}

/**
 * Options of a TCP endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface TcpOptions extends SocketOptions {
  /**
   * A name or an IP address. A name is looked up at every attempt, and its addresses are raced, IPv6 and IPv4 in turn, as
   * RFC 8305 ("Happy Eyeballs") has it.
   */
  readonly host: string
  /** From 1 to 65535. */
  readonly port: number
  /** Takes only the addresses of this version of IP. Default: those of either, or of the same as `localAddress`. */
  readonly family?: 4 | 6 | undefined
  /**
   * How long one address of a name has before the next is tried too. When one fails, the next is tried at once. Default
   * 250 milliseconds.
   */
  readonly attemptDelay?: Duration.DurationInput | undefined
  /** The local address to connect from. Default: the system's choice. */
  readonly localAddress?: string | undefined
  /** Sends small writes at once rather than gather them (`TCP_NODELAY`). Default true. */
  readonly noDelay?: boolean | undefined
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
 * Options of a TLS endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface TlsOptions extends TcpOptions {
  /** The certificates to trust instead of the well-known ones, in PEM. Default: the well-known ones. */
  readonly ca?: Pem | ReadonlyArray<Pem> | undefined
  /** The certificate of this client, in PEM, with its chain. Default: none. */
  readonly cert?: Pem | undefined
  /** The private key of this client, in PEM. Default: none. */
  readonly key?: Pem | undefined
  /** The passphrase of `key`. Default: none. */
  readonly passphrase?: string | undefined
  /** The name to ask the server for and to check its certificate against. Default: `host`, unless it is an address. */
  readonly servername?: string | undefined
  /** The application protocols to offer, the preferred one first. Default: none. */
  readonly ALPNProtocols?: ReadonlyArray<string> | undefined
  /** The lowest version of TLS to accept. Default: that of Node.js, TLS 1.2. */
  readonly minVersion?: Tls.SecureVersion | undefined
  /** Whether to refuse a server whose certificate can't be verified. Default true. */
  readonly rejectUnauthorized?: boolean | undefined
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
  overIp("NodeEndpoint.tcp", "tcp", options, { openEvent: "connect", connect: Net.connect })

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
  const path = Validate.text(where, "path", options.path)
  const name = nameOf(where, options, `unix://${path}`)
  const linger = lingerOf(where, options)
  const connect = () => Net.connect({ path })
  return Endpoint.make({
    name,
    connect: dial({ address: path, openEvent: "connect", connect, tune: () => {}, linger })
  })
}

/**
 * Connects by TLS. The endpoint is connected once the handshake is done and the certificate of the server verified. So
 * is the race between the addresses of a name: one that accepts connections but answers no handshake does not win it.
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
export const tls = (options: TlsOptions): Endpoint.Endpoint<Transport.Transport, ConnectError> => {
  const where = "NodeEndpoint.tls"
  const secure: Tls.ConnectionOptions = {
    secureContext: secureContext(where, options),
    rejectUnauthorized: options.rejectUnauthorized ?? true
  }
  const servername = serverName(where, options)
  if (servername !== undefined) secure.servername = servername
  if (options.ALPNProtocols !== undefined) secure.ALPNProtocols = alpnProtocols(where, options.ALPNProtocols)
  return overIp(where, "tls", options, {
    openEvent: "secureConnect",
    connect: (connection) => Tls.connect({ ...connection, ...secure })
  })
}

/**
 * Options of a WebSocket endpoint.
 *
 * @since 0.1.0
 * @category options
 */
export interface WebSocketOptions<out E = never, out R = never> extends Endpoint.WebSocketOptions {
  /** The headers to send, besides those of every WebSocket. An Effect runs at every attempt. Default: none. */
  readonly headers?: Headers | Effect.Effect<Headers, E, R> | undefined
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
 * no `WebSocketConstructor`: the WebSocket is that of `ws`, since Node.js 20 has none of its own.
 *
 * No value of a header is in any name, error, log or span.
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
 * @throws InvalidOption as `Endpoint.webSocket` does, and if HTTP does not allow a header
 */
export const webSocket = <E = never, R = never, E2 = never, R2 = never>(
  url: string | Effect.Effect<string, E, R>,
  options?: WebSocketOptions<E2, R2>
): Endpoint.Endpoint<
  Transport.Transport,
  E | E2 | WebSocketError | Transport.TransportError,
  Exclude<R, Scope.Scope> | Exclude<R2, Scope.Scope>
> => {
  const { headers = {} } = options ?? {}
  const freshHeaders: Effect.Effect<Headers, E2, R2> = Effect.isEffect(headers)
    ? headers
    : Effect.succeed(validHeaders("NodeEndpoint.webSocket", headers))
  const freshUrl: Effect.Effect<string, E, R> = Effect.isEffect(url) ? url : Effect.succeed(url)
  // Refuses what makes no sense at once.
  const { name } = Endpoint.webSocket(Effect.isEffect(url) ? Effect.succeed("") : url, options)
  const open = (
    url: string,
    headers: Headers,
    signal: Endpoint.ConnectionSignal<WebSocketError | Transport.TransportError>
  ) =>
    Effect.provideService(
      Endpoint.webSocket(Effect.succeed(url), { ...options, name }).connect(signal),
      Socket.WebSocketConstructor,
      (url, protocols) => domWebSocket(new WebSocket(url, protocols, { headers }))
    )
  return Endpoint.make({
    name,
    connect: (signal: Endpoint.ConnectionSignal<WebSocketError | Transport.TransportError>) => Effect.succeed(signal)
  }).pipe(
    Endpoint.mapEffect((signal) =>
      Effect.flatMap(Effect.zip(freshHeaders, freshUrl), ([headers, url]) => open(url, headers, signal))
    )
  )
}

// Its types differ from those of browsers in what nobody uses here.
const domWebSocket = (webSocket: unknown) => webSocket as globalThis.WebSocket

const validHeaders = (where: string, headers: Headers): Headers => {
  for (const [name, value] of Object.entries(headers)) {
    try {
      Http.validateHeaderName(name)
      Http.validateHeaderValue(name, value)
    } catch {
      throw invalid(where, "headers", [name, "(not shown)"], "headers of HTTP")
    }
  }
  return headers
}

interface Dial extends Omit<Settings, "signal"> {
  readonly connect: () => Net.Socket
}

/** Makes one connection by one socket. */
const dial =
  ({ connect, ...settings }: Dial) =>
  (signal: Endpoint.ConnectionSignal<ConnectError>): Effect.Effect<Transport.Transport, ConnectError, Scope.Scope> =>
    // Not acquireRelease, whose finalizer restores the whole context of the attempt: closing needs none of it.
    Effect.flatMap(Effect.scope, (scope) =>
      Effect.try({
        try: () => new SocketTransport(connect(), { ...settings, signal }),
        catch: (error) => fromNodeError(error, settings.address)
      }).pipe(
        Effect.tap((transport) => Scope.addFinalizer(scope, transport.close)),
        Effect.uninterruptible,
        Effect.flatMap((transport) => transport.whenOpen)
      )
    )

interface IpDial extends Pick<Settings, "openEvent"> {
  readonly connect: (connection: Net.TcpNetConnectOpts) => Net.Socket
}

const overIp = (
  where: string,
  scheme: string,
  options: TcpOptions,
  { connect, openEvent }: IpDial
): Endpoint.Endpoint<Transport.Transport, ConnectError> => {
  const host = Validate.text(where, "host", options.host)
  const port = Validate.integer(where, "port", options.port, 1, 65535)
  const attemptDelay = Validate.duration(where, "attemptDelay", options.attemptDelay ?? "250 millis")
  const family = familyOf(where, options)
  const address = hostAndPort(host, port)
  const name = nameOf(where, options, `${scheme}://${address}`)
  const linger = lingerOf(where, options)
  const tune = tuning(where, options)

  const dialTo = (ip: string) => {
    const connection: Net.TcpNetConnectOpts = { host: ip, port }
    if (options.localAddress !== undefined) connection.localAddress = options.localAddress
    return dial({ address: hostAndPort(ip, port), openEvent, connect: () => connect(connection), tune, linger })
  }
  if (Net.isIP(host) !== 0) return Endpoint.make({ name, connect: dialTo(host) })

  // Not the race of Node.js, which gives up an address when the next one's turn comes, so that a slow path fails.
  const race = (ips: ReadonlyArray<string>) =>
    Endpoint.happyEyeballs(
      ips.map((ip) => Endpoint.make({ name: ip, connect: dialTo(ip) })),
      { delay: attemptDelay }
    ).pipe(Endpoint.mapError((error) => (error._tag === "EndpointsFailed" ? allFailed(error, address) : error)))
  return Endpoint.make({
    name,
    connect: (signal: Endpoint.ConnectionSignal<ConnectError>) =>
      Effect.flatMap(lookUp(host, family, address), (ips) => race(ips).connect(signal))
  })
}

const allFailed = ({ failures }: EndpointsFailed.EndpointsFailed<ConnectError>, address: string): ConnectError =>
  fromNodeError(new AggregateError(failures.map(({ cause }) => Cause.squash(cause))), address)

const hostAndPort = (host: string, port: number): string => (Net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`)

const nameOf = (where: string, { name }: SocketOptions, defaultName: string): string =>
  Validate.text(where, "name", name ?? defaultName)

const lingerOf = (where: string, { linger = "1 second" }: SocketOptions): Duration.Duration =>
  Validate.finiteDuration(where, "linger", linger)

/** The version of IP to look addresses up of, or 0 for either. */
const familyOf = (where: string, { family, localAddress }: TcpOptions): number => {
  if (family !== undefined && family !== 4 && family !== 6) throw invalid(where, "family", family, "4 or 6")
  const localFamily = localAddress === undefined ? undefined : Net.isIP(localAddress)
  if (localFamily === 0) throw invalid(where, "localAddress", localAddress, "an IP address")
  return family ?? localFamily ?? 0
}

const tuning = (
  where: string,
  { keepAlive = true, keepAliveInitialDelay = "30 seconds", noDelay = true }: TcpOptions
): Settings["tune"] => {
  const delay = Validate.finiteDuration(where, "keepAliveInitialDelay", keepAliveInitialDelay)
  // Node.js takes less than a second for the system's default, two hours, and so does the system what is too long.
  const seconds = Math.min(Math.max(1, Math.ceil(Duration.toSeconds(delay))), 32767)
  return (socket) => {
    socket.setNoDelay(noDelay).setKeepAlive(keepAlive, seconds * 1000)
  }
}

const serverName = (where: string, { host, servername }: TlsOptions): string | undefined => {
  if (servername === undefined) return Net.isIP(host) === 0 ? host : undefined
  const name = Validate.text(where, "servername", servername)
  if (Net.isIP(name) === 0) return name
  throw invalid(where, "servername", name, "a name, not an IP address")
}

const alpnProtocols = (where: string, names: ReadonlyArray<string>): Array<string> =>
  names.map((name) => {
    const length = Buffer.byteLength(Validate.text(where, "ALPNProtocols", name))
    if (length <= 255) return name
    throw invalid(where, "ALPNProtocols", name, "names of at most 255 bytes")
  })

// Made once, so that what is not a certificate or a key is refused before the first attempt.
const secureContext = (where: string, { ca, cert, key, minVersion, passphrase }: TlsOptions): Tls.SecureContext => {
  const options: Tls.SecureContextOptions = {}
  if (ca !== undefined) options.ca = (isSingle(ca) ? [ca] : ca).map(pem)
  if (cert !== undefined) options.cert = pem(cert)
  if (key !== undefined) options.key = pem(key)
  if (passphrase !== undefined) options.passphrase = passphrase
  if (minVersion !== undefined) options.minVersion = minVersion
  try {
    return Tls.createSecureContext(options)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw invalid(where, "ca, cert, key, passphrase or minVersion", "(not shown)", `usable (${reason})`)
  }
}

const isSingle = (ca: Pem | ReadonlyArray<Pem>): ca is Pem => typeof ca === "string" || ca instanceof Uint8Array

const pem = (value: Pem): string | Buffer => (typeof value === "string" ? value : Buffer.from(value))

const invalid = (where: string, option: string, value: unknown, expected: string): InvalidOption.InvalidOption =>
  new InvalidOption.InvalidOption({ where, option, value, expected })
