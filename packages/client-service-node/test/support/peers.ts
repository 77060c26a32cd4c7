import { mkdtempSync, rmSync } from "node:fs"
import type * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Socket } from "@effect/platform"
import { NodeSocket } from "@effect/platform-node"
import { Effect, type Scope } from "effect"
import { Endpoint, type Transport } from "effect-client-service"
import { ChildProcessEndpoint, NodeEndpoint } from "effect-client-service-node"
import { WebSocket as Ws } from "ws"
import { selfSigned } from "./certificates.js"
import * as SocketServer from "./server.js"
import * as WebSocketServer from "./webSocketServer.js"

/** The peer's end of a connection, whatever that is made of. */
export interface Peer {
  readonly send: (text: string) => void
  readonly end: () => void
  readonly receive: (listener: (text: string) => void) => void
  /** Reads nothing, until it does again. */
  readonly mute: () => void
  readonly unmute: () => void
}

/** Serves each connection, and gives the endpoint that connects to it. */
export type MakePeer = (
  onConnection: (peer: Peer) => void,
  options?: { readonly compresses: boolean }
) => Effect.Effect<Endpoint.Endpoint<Transport.Transport, unknown>, never, Scope.Scope>

const ofSocket = (socket: Net.Socket): Peer => ({
  send: (text) => void socket.write(text),
  end: () => void socket.end(),
  receive: (listener) => void socket.on("data", (chunk) => listener(String(chunk))),
  mute: () => void socket.pause(),
  unmute: () => void socket.resume()
})

const tcp: MakePeer = (onConnection) =>
  Effect.map(
    SocketServer.listen((socket) => onConnection(ofSocket(socket))),
    ({ port }) => NodeEndpoint.tcp({ host: "127.0.0.1", port })
  )

const tls: MakePeer = (onConnection) =>
  Effect.gen(function* () {
    const certificate = yield* selfSigned("localhost")
    const server = yield* SocketServer.listen((socket) => onConnection(ofSocket(socket)), { tls: certificate })
    return NodeEndpoint.tls({ host: "127.0.0.1", port: server.port, ca: certificate.cert, servername: "localhost" })
  })

/** A Unix socket, where connections are served. */
const listenAtPath = (onConnection: (peer: Peer) => void) =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "peer-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    )
    const path = join(directory, "socket")
    yield* SocketServer.listen((socket) => onConnection(ofSocket(socket)), { path })
    return path
  })

const unix: MakePeer = (onConnection) => Effect.map(listenAtPath(onConnection), (path) => NodeEndpoint.unix({ path }))

// What the process reads and writes is the test's, by a socket.
const childProcess: MakePeer = (onConnection) =>
  Effect.map(listenAtPath(onConnection), (path) => {
    const script = `const socket = require("node:net").connect(${JSON.stringify(path)})
      process.stdin.pipe(socket).pipe(process.stdout)`
    return ChildProcessEndpoint.make(process.execPath, ["-e", script])
  })

const fromSocket: MakePeer = (onConnection) =>
  Effect.map(
    SocketServer.listen((socket) => onConnection(ofSocket(socket))),
    ({ port }) => Endpoint.fromSocket("peer", NodeSocket.makeNet({ host: "127.0.0.1", port }))
  )

const overWebSocket =
  (endpointOf: (url: string) => Endpoint.Endpoint<Transport.Transport, unknown>): MakePeer =>
  (onConnection, options) =>
    Effect.map(
      WebSocketServer.listen({
        ...options,
        onConnection: (webSocket) =>
          onConnection({
            send: (text) => webSocket.send(text),
            end: () => webSocket.close(1000),
            receive: (listener) => void webSocket.on("message", (data) => listener(String(data))),
            mute: () => webSocket.pause(),
            unmute: () => webSocket.resume()
          })
      }),
      ({ port }) => endpointOf(`ws://127.0.0.1:${port}`)
    )

const constructedBy = (construct: (url: string) => unknown) => (url: string) => {
  const endpoint = Endpoint.webSocket(url)
  return Endpoint.make({
    name: endpoint.name,
    connect: (signal: Endpoint.ConnectionSignal<unknown>) =>
      Effect.provideService(
        endpoint.connect(signal),
        Socket.WebSocketConstructor,
        (url) => construct(url) as globalThis.WebSocket
      )
  })
}

/** How to connect by a WebSocket. Node.js has one of its own from 22 on. */
export const endpointsOfWebSockets: Readonly<
  Record<string, (url: string) => Endpoint.Endpoint<Transport.Transport, unknown>>
> = {
  "NodeEndpoint.webSocket": (url) => NodeEndpoint.webSocket(url),
  "Endpoint.webSocket over ws": constructedBy((url) => new Ws(url)),
  ...("WebSocket" in globalThis && {
    "Endpoint.webSocket over the platform's": constructedBy((url) => new globalThis.WebSocket(url))
  })
}

/** All that there is to connect with over a socket. */
export const peersOfSockets: Readonly<Record<string, MakePeer>> = {
  "NodeEndpoint.tcp": tcp,
  "NodeEndpoint.tls": tls,
  "NodeEndpoint.unix": unix,
  "Endpoint.fromSocket": fromSocket,
  ...Object.fromEntries(
    Object.entries(endpointsOfWebSockets).map(([name, endpointOf]) => [name, overWebSocket(endpointOf)])
  )
}

/** All that there is to connect with. */
export const peers: Readonly<Record<string, MakePeer>> = {
  ...peersOfSockets,
  "ChildProcessEndpoint.make": childProcess
}
