import * as Net from "node:net"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Endpoint from "effect-client-service/Endpoint"
import type * as EndpointsFailed from "effect-client-service/EndpointsFailed"
import { type ConnectError, fromNodeError } from "../ConnectError.js"
import { lookUp } from "./lookUp.js"
import { refuseItself } from "./openSocket.js"

export type Connect<A> = (
  signal: Endpoint.ConnectionSignal<ConnectError>
) => Effect.Effect<A, ConnectError, Scope.Scope>

/** What Node.js is told of a connection, besides where to. */
export type Connection = Pick<Net.TcpNetConnectOpts, "localAddress">

/** How a socket is made, and the event after which it can be used. */
export interface Kind {
  readonly openEvent: "connect" | "secureConnect"
  readonly connect: (connection: Net.TcpNetConnectOpts) => Net.Socket
}

export const overTcp: Kind = {
  openEvent: "connect",
  connect: (connection) => refuseItself(Net.connect(connection))
}

/** How the addresses of a name are found and tried. */
export interface Settings {
  /** The version of IP, or 0 for either. */
  readonly family: number
  readonly attemptDelay: Duration.Duration
  readonly lookupTimeout: Duration.Duration
}

/** A host, as `Address.host` gives it. */
export interface Target {
  readonly host: string
  readonly port: number
  /** Whether the name was given with a dot at its end: as a whole, without the domains that a resolver may add. */
  readonly isWhole: boolean
}

export const targetOf = (given: string, host: string, port: number): Target => ({
  host,
  port,
  // A name of one label is not in the DNS, but it may be in the file of hosts, where none has a dot at its end.
  isWhole: given.trim().endsWith(".") && host.includes(".")
})

export const addressOf = ({ host, port }: Pick<Target, "host" | "port">): string =>
  Net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`

/** What a host is to be that is an address of another version of IP than is asked for. */
export const problemOfVersion = ({ host }: Pick<Target, "host">, { family }: Settings): string | undefined => {
  const version = Net.isIP(host)
  if (family === 0 || version === 0 || version === family) return undefined
  return `a name or an address of IPv${family}, as family or localAddress is`
}

/**
 * Connects to a host: to an IP address by one socket, and to a name by a race of its addresses.
 *
 * Not the race of Node.js, which gives up an address when the next one's turn comes, so that a slow path fails.
 */
export const overIp = <A>(
  target: Target,
  { attemptDelay, family, lookupTimeout }: Settings,
  dialTo: (target: { readonly host: string; readonly port: number }) => Connect<A>
): Connect<A> => {
  const { host, isWhole, port } = target
  if (Net.isIP(host) !== 0) return dialTo(target)
  const address = addressOf(target)
  const race = (ips: ReadonlyArray<string>) =>
    Endpoint.happyEyeballs(
      ips.map((ip) => Endpoint.make({ name: addressOf({ host: ip, port }), connect: dialTo({ host: ip, port }) })),
      { delay: attemptDelay }
    ).pipe(Endpoint.mapError((error) => (error._tag === "EndpointsFailed" ? allFailed(error, address) : error)))
  return (signal) =>
    Effect.flatMap(lookUp(isWhole ? `${host}.` : host, family, address, lookupTimeout), (ips) =>
      race(ips).connect(signal)
    )
}

const allFailed = ({ failures }: EndpointsFailed.EndpointsFailed<ConnectError>, address: string): ConnectError =>
  fromNodeError(new AggregateError(failures.map(({ cause }) => Cause.squash(cause))), address)
