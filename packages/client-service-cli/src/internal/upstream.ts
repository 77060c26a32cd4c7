/**
 * What is connected to, and how.
 */
import { readFile } from "node:fs/promises"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Endpoint from "effect-client-service/Endpoint"
import { InvalidOption } from "effect-client-service/InvalidOption"
import * as RetryPolicy from "effect-client-service/RetryPolicy"
import type { Transport, TransportError, WebSocketTransport } from "effect-client-service/Transport"
import type { WebSocketError } from "effect-client-service/WebSocketError"
import * as ChildProcessEndpoint from "effect-client-service-node/ChildProcessEndpoint"
import type { ChildProcessError } from "effect-client-service-node/ChildProcessError"
import type { ConnectError } from "effect-client-service-node/ConnectError"
import * as NodeEndpoint from "effect-client-service-node/NodeEndpoint"
import type { Address } from "./address.js"
import { FileError } from "./fileError.js"
import { type Header, parseHeaders } from "./headers.js"
import { codeOfNode } from "./listenError.js"
import { asLines } from "./messages.js"
import type { Stderr } from "./report.js"

/** All that an attempt or a connection of the command ends with. */
export type LinkError = ConnectError | WebSocketError | TransportError | ChildProcessError | FileError

export interface Upstream {
  readonly endpoint: Endpoint.Endpoint<Transport, LinkError>
  /** What can be told of the address: it has no secrets. */
  readonly address: string
}

export interface TlsFlags {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly servername: string | undefined
  readonly insecure: boolean
}

export interface UpstreamOptions {
  readonly address: Address
  readonly name: string | undefined
  readonly tls: TlsFlags
  /** Headers, and files of them. */
  readonly headers: ReadonlyArray<Header | { readonly file: string }>
  readonly pingInterval: Duration.Duration | undefined
  /** Whether a message of a WebSocket is a line of text. */
  readonly isLines: boolean
  /** Whether there may be more to send when the server has ended its side. */
  readonly isHalfOpen: boolean
  /** For what a process writes to its standard error. */
  readonly stderr: () => Stderr
}

/** Throws `InvalidOption`, as what it is made of does. */
export const upstreamOf = (options: UpstreamOptions): Upstream => {
  const endpoint = endpointOf(options, options.name === undefined ? {} : { name: options.name })
  return options.name === undefined
    ? { endpoint, address: endpoint.name }
    : { endpoint, address: endpointOf(options, {}).name }
}

const endpointOf = (
  { address, headers, isHalfOpen: allowHalfOpen, isLines, pingInterval, stderr, tls }: UpstreamOptions,
  name: { readonly name?: string }
): Endpoint.Endpoint<Transport, LinkError> => {
  switch (address._tag) {
    case "Tcp":
      return NodeEndpoint.tcp({ host: address.host, port: address.port, allowHalfOpen, ...name })
    case "Tls":
      return NodeEndpoint.tls({ host: address.host, port: address.port, allowHalfOpen, ...tlsSettings(tls), ...name })
    case "Unix":
      return NodeEndpoint.unix({ path: address.path, allowHalfOpen, ...name })
    case "Exec":
      return tellingErrors(stderr, (onStderr) =>
        ChildProcessEndpoint.make(address.command, address.args, {
          name: `exec:${address.command}`,
          onStderr,
          allowHalfOpen,
          ...name
        })
      )
    case "WebSocket": {
      const own: ReadonlyArray<Header> =
        address.credentials === undefined
          ? []
          : [["authorization", `Basic ${Buffer.from(address.credentials).toString("base64")}`]]
      const endpoint = NodeEndpoint.webSocket(address.url, {
        headers: Effect.map(headersOf(headers), (given) => Object.fromEntries([...own, ...given])),
        ...(address.isSecure ? { tls: tlsSettings(tls) } : {}),
        ...(pingInterval === undefined ? {} : { ping: { interval: pingInterval } }),
        ...name
      })
      return isLines
        ? Endpoint.map(endpoint, (transport: WebSocketTransport): Transport => asLines(transport))
        : endpoint
    }
  }
}

/** An endpoint of processes, with a place for the standard error of each. */
export const tellingErrors = <E>(
  stderr: () => Stderr,
  endpointOf: (onStderr: Stderr["take"]) => Endpoint.Endpoint<Transport, E>
): Endpoint.Endpoint<Transport, E> =>
  Endpoint.make({
    name: endpointOf(() => {}).name,
    connect: (signal) =>
      Effect.suspend(() => {
        const { end, take } = stderr()
        return Effect.zipRight(
          Effect.addFinalizer(() => Effect.sync(end)),
          endpointOf(take).connect(signal)
        )
      })
  })

const tlsSettings = ({ ca, cert, insecure, key, servername }: TlsFlags): NodeEndpoint.TlsSettings<FileError> => ({
  ca: ca === undefined ? undefined : fileOf("--ca", ca),
  cert: cert === undefined ? undefined : fileOf("--cert", cert),
  key: key === undefined ? undefined : fileOf("--key", key),
  servername,
  rejectUnauthorized: !insecure
})

/** What these are to be instead, if no connection can be made with them. */
export const problemOfTls = (material: Pick<NodeEndpoint.TlsSettings, "ca" | "cert" | "key">): string | undefined => {
  try {
    NodeEndpoint.tls({ host: "localhost", port: 1, ...material })
    return undefined
  } catch (error) {
    if (error instanceof InvalidOption) return error.expected
    throw error
  }
}

export const headersOf = (headers: UpstreamOptions["headers"]): Effect.Effect<ReadonlyArray<Header>, FileError> =>
  Effect.map(
    Effect.forEach(headers, (header): Effect.Effect<ReadonlyArray<Header>, FileError> => {
      if (!("file" in header)) return Effect.succeed([header])
      const { file } = header
      return Effect.flatMap(fileOf("--header", file), (bytes) =>
        Option.match(parseHeaders(bytes.toString()), {
          onNone: () => Effect.fail(new FileError({ option: "--header", path: file })),
          onSome: Effect.succeed
        })
      )
    }),
    (all) => all.flat()
  )

/** Reads a file, as is done at every attempt, so that a certificate that is renewed needs no restart. */
export const fileOf = (option: string, path: string): Effect.Effect<Buffer, FileError> =>
  Effect.tryPromise({
    try: () => readFile(path),
    catch: (error) => new FileError({ option, path, code: codeOfNode(error) })
  })

export interface Patience {
  readonly initialDelay: Duration.Duration
  /** The longest delay between two attempts. */
  readonly maxDelay: Duration.Duration
  /** How many failures in a row end it all. */
  readonly giveUpAfter: number
  readonly connectTimeout: Duration.Duration
  readonly resetAfter: Duration.Duration
  readonly maxAge: Duration.Duration
  /** How long nothing may come, before the connection counts as lost. */
  readonly idleTimeout: Duration.Duration | undefined
}

/** What all services of the command have in common. */
export const serviceOptions = (patience: Patience) => ({
  retryPolicy: RetryPolicy.fullJitter({
    initialDelay: Duration.min(patience.initialDelay, patience.maxDelay),
    maxDelay: patience.maxDelay
  }).pipe(
    Schedule.whileInput(({ failures }: RetryPolicy.ConnectionFailure<unknown>) => failures < patience.giveUpAfter)
  ),
  connectTimeout: patience.connectTimeout,
  resetAfter: patience.resetAfter,
  maxAge: patience.maxAge,
  // A command at each end has its time to end by itself.
  closeTimeout: Duration.seconds(10),
  heartbeat:
    patience.idleTimeout === undefined
      ? undefined
      : {
          // Nobody is asked: what comes in by itself is the sign of life.
          probe: () => Effect.never,
          lastReceived: (transport: Transport) => transport.lastReceived,
          interval: Duration.millis(1),
          timeout: patience.idleTimeout
        }
})
