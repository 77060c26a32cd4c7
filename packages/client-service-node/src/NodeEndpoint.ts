/**
 * Endpoints over the sockets of Node.js: TCP, TLS and Unix.
 *
 * @since 0.1.0
 */

import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Endpoint from "effect-client-service/Endpoint"
import * as InvalidOption from "effect-client-service/InvalidOption"
import type * as Transport from "effect-client-service/Transport"
import { type ConnectError, fromNodeError } from "./ConnectError.js"
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
  /** A name, which is looked up at every attempt, or an IP address. */
  readonly host: string
  /** From 1 to 65535. */
  readonly port: number
  /** Connects by this version of IP only. Default: either, in the order of the look-up. */
  readonly family?: 4 | 6 | undefined
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
export const tcp = (options: TcpOptions): Endpoint.Endpoint<Transport.Transport, ConnectError> => {
  const where = "NodeEndpoint.tcp"
  const { address, connection, tune } = tcpSettings(where, options)
  return endpoint(where, options, `tcp://${address}`, {
    address,
    openEvent: "connect",
    connect: () => Net.connect(connection),
    tune
  })
}

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
  const path = InvalidOption.text(where, "path", options.path)
  return endpoint(where, options, `unix://${path}`, {
    address: path,
    openEvent: "connect",
    connect: () => Net.connect({ path }),
    tune: () => {}
  })
}

/**
 * Connects by TLS. The endpoint is connected once the handshake is done and the certificate of the server verified.
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
  const { address, connection, tune } = tcpSettings(where, options)
  const secure: Tls.ConnectionOptions = {
    ...connection,
    secureContext: secureContext(where, options),
    rejectUnauthorized: options.rejectUnauthorized ?? true
  }
  const servername = serverName(where, options)
  if (servername !== undefined) secure.servername = servername
  if (options.ALPNProtocols !== undefined) secure.ALPNProtocols = alpnProtocols(where, options.ALPNProtocols)
  return endpoint(where, options, `tls://${address}`, {
    address,
    openEvent: "secureConnect",
    connect: () => Tls.connect(secure),
    tune
  })
}

type Dial = Pick<Settings, "address" | "openEvent" | "tune"> & { readonly connect: () => Net.Socket }

const endpoint = (where: string, options: SocketOptions, defaultName: string, { connect, ...dial }: Dial) => {
  const name = InvalidOption.text(where, "name", options.name ?? defaultName)
  const linger = InvalidOption.finiteDuration(where, "linger", options.linger ?? "1 second")
  return Endpoint.make({
    name,
    connect: (signal: Endpoint.ConnectionSignal<ConnectError>) =>
      // Not acquireRelease, whose finalizer restores the whole context of the attempt: closing needs none of it.
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.try({
          try: () => new SocketTransport(connect(), { ...dial, linger, signal }),
          catch: (error) => fromNodeError(error, dial.address)
        }).pipe(
          Effect.tap((transport) => Scope.addFinalizer(scope, transport.close)),
          Effect.uninterruptible,
          Effect.flatMap((transport) => transport.whenOpen)
        )
      )
  })
}

const tcpSettings = (where: string, options: TcpOptions) => {
  const host = InvalidOption.text(where, "host", options.host)
  const port = InvalidOption.integer(where, "port", options.port, 1, 65535)
  const { family, keepAlive = true, localAddress, noDelay = true } = options
  const keepAliveInitialDelay = InvalidOption.finiteDuration(
    where,
    "keepAliveInitialDelay",
    options.keepAliveInitialDelay ?? "30 seconds"
  )
  const connection: Net.TcpNetConnectOpts = {
    host,
    port,
    // A name may have addresses that nothing answers at. Node.js tries them in turn and gives each but the last up for
    // good after 250 ms, too soon for a slow path. 5 seconds see two lost packets through, which are sent again after
    // 1 and 3 seconds, and leave time for other addresses in the connectTimeout of a service.
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 5000
  }
  if (family !== undefined) {
    if (family !== 4 && family !== 6) throw invalid(where, "family", family, "4 or 6")
    connection.family = family
  }
  if (localAddress !== undefined) {
    if (Net.isIP(localAddress) === 0) throw invalid(where, "localAddress", localAddress, "an IP address")
    connection.localAddress = localAddress
  }

  // Node.js takes less than a second for the system's default, two hours, and so does the system what is too long.
  const seconds = Math.min(Math.max(1, Math.ceil(Duration.toSeconds(keepAliveInitialDelay))), 32767)
  return {
    address: Net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`,
    connection,
    // Once it is open: what is set before is lost, of a TLS socket, when Node.js tries another address.
    tune: (socket: Net.Socket) => {
      socket.setNoDelay(noDelay).setKeepAlive(keepAlive, seconds * 1000)
    }
  }
}

const serverName = (where: string, { host, servername }: TlsOptions): string | undefined => {
  if (servername === undefined) return Net.isIP(host) === 0 ? host : undefined
  const name = InvalidOption.text(where, "servername", servername)
  if (Net.isIP(name) === 0) return name
  throw invalid(where, "servername", name, "a name, not an IP address")
}

const alpnProtocols = (where: string, names: ReadonlyArray<string>): Array<string> =>
  names.map((name) => {
    const length = Buffer.byteLength(InvalidOption.text(where, "ALPNProtocols", name))
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
