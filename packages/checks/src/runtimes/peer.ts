// The other end of the programs, in a process of its own that can be killed: over TCP, TLS, a Unix socket and a WebSocket it
// takes commands, a line or a message each, and by HTTP it tells what it has done.
import { once } from "node:events"
import { readFileSync, rmSync } from "node:fs"
import { createServer as createHttpServer } from "node:http"
import { createServer, type Server, type Socket } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { NodeSocketServer } from "@effect/platform-node"
import { RpcSerialization, RpcServer } from "@effect/rpc"
import { Effect, Layer } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import { Doubling } from "./programs/doubling.js"
import { block, blocks } from "./programs/flood.js"

interface Settings {
  readonly ports: { readonly tcp: number; readonly tls: number; readonly webSocket: number; readonly rpc: number }
  readonly path: string
  readonly cert: string
  readonly key: string
}

/** One connection, of whatever kind. */
interface Peer {
  /** Calls back once the system has taken it. */
  readonly send: (data: string | Uint8Array, taken?: () => void) => void
  readonly end: () => void
  readonly reset: () => void
  readonly pause: () => void
}

const settings: Settings = JSON.parse(process.argv[2] ?? "")
let open = 0
let taken = 0

const obey = (peer: Peer, line: string): void => {
  const [command, argument = ""] = line.trim().split(" ")
  if (command === "ECHO") peer.send(`${argument}\n`)
  else if (command === "RESET") peer.reset()
  else if (command === "DEAF") peer.pause()
  else if (command === "BYE") {
    for (let n = 0; n < Number(argument); n++) peer.send(`${n}\n`)
    peer.end()
  } else if (command === "FLOOD") {
    taken = 0
    flood(peer, 0)
  }
}

const flood = (peer: Peer, index: number): void => {
  if (index === blocks) return
  peer.send(block(index), () => {
    taken += 1
    flood(peer, index + 1)
  })
}

const onSocket = (socket: Socket, reset: () => void): void => {
  open += 1
  socket.on("close", () => (open -= 1))
  socket.on("error", () => socket.destroy())
  socket.setNoDelay(true)
  let rest = ""
  const peer: Peer = {
    send: (data, taken) => void socket.write(data, (error) => (error ? undefined : taken?.())),
    end: () => socket.end(),
    reset,
    pause: () => socket.pause()
  }
  socket.on("data", (data) => {
    const lines = (rest + data.toString("latin1")).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) obey(peer, line)
  })
}

const onWebSocket = (webSocket: WebSocket): void => {
  open += 1
  webSocket.on("close", () => (open -= 1))
  webSocket.on("error", () => webSocket.terminate())
  const peer: Peer = {
    send: (data, taken) => webSocket.send(data, (error) => (error ? undefined : taken?.())),
    end: () => webSocket.close(1000),
    reset: () => webSocket.terminate(),
    pause: () => webSocket.pause()
  }
  webSocket.on("message", (data, isBinary) => {
    if (!isBinary) obey(peer, String(data))
  })
}

const listening = async (server: Server, where: number | string): Promise<void> => {
  if (typeof where === "string") server.listen(where)
  else server.listen(where, "127.0.0.1")
  await once(server, "listening")
}

const http = createHttpServer((_, response) => {
  response.setHeader("access-control-allow-origin", "*")
  response.setHeader("connection", "close")
  response.end(JSON.stringify({ open, taken }))
})
new WebSocketServer({ server: http }).on("connection", onWebSocket)

rmSync(settings.path, { force: true })
await listening(
  createServer((socket) => onSocket(socket, () => socket.resetAndDestroy())),
  settings.ports.tcp
)
// There is no reset of a Unix socket.
await listening(
  createServer((socket) => onSocket(socket, () => socket.destroy())),
  settings.path
)
// Only the socket below TLS can be reset. It is known by the port of the client.
const below = new Map<number | undefined, Socket>()
const tls = createTlsServer({ cert: readFileSync(settings.cert), key: readFileSync(settings.key) }, (socket) =>
  onSocket(socket, () => below.get(socket.remotePort)?.resetAndDestroy())
)
tls.on("connection", (socket: Socket) => void below.set(socket.remotePort, socket))
tls.on("tlsClientError", () => {})
await listening(tls, settings.ports.tls)
await listening(http, settings.ports.webSocket)

const rpc = RpcServer.layer(Doubling).pipe(
  Layer.provide(Doubling.toLayer({ Double: ({ n }) => (n === 0 ? Effect.never : Effect.succeed(2 * n)) })),
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provideMerge(NodeSocketServer.layer({ host: "127.0.0.1", port: settings.ports.rpc })),
  Layer.provide(RpcSerialization.layerNdjson)
)
Effect.runFork(
  Effect.scoped(
    Effect.zipRight(
      Layer.build(rpc),
      Effect.zipRight(
        Effect.sync(() => console.log("ready")),
        Effect.never
      )
    )
  )
)
