import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { Endpoint } from "effect-client-service"
import PartySocket from "partysocket/ws"
import * as serverProcess from "test-servers/serverProcess"
import { WebSocket } from "ws"
import { ReconnectingWebSocket } from "../against/webSocketClients.js"
import { type Call, type Client, Failed, type Server } from "./Client.js"

const server: Client["server"] = Effect.gen(function* () {
  const file = join(yield* serverProcess.temporaryDirectory, "password")
  const setPassword = (password: string) => Effect.promise(() => writeFile(file, password))
  const password = "secret"
  yield* setPassword(password)
  const port = yield* serverProcess.freePort
  const running = yield* serverProcess.make({
    command: process.execPath,
    args: ["--import", "tsx", fileURLToPath(new URL("./echoServer.ts", import.meta.url)), String(port), file],
    ready: /listening/,
    // Where tsx is.
    cwd: process.cwd()
  })
  return { ...running, host: "127.0.0.1", port, user: "", password, setPassword }
})

const urlOf = ({ host, password, port }: Server) => `ws://${host}:${port}/?${password}`

interface Messages {
  send(message: string): void
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void
  close(): void
}

const callOf = (socket: Messages): Call => {
  const waiting = new Map<string, () => void>()
  let calls = 0
  socket.addEventListener("message", ({ data }) => waiting.get(String(data))?.())
  return () =>
    new Promise<void>((resolve) => {
      const message = String(++calls)
      waiting.set(message, resolve)
      socket.send(message)
    })
}

const opened =
  (connect: (url: string) => Messages): Client["alone"] =>
  (server) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => connect(urlOf(server))),
        (socket) => Effect.sync(() => socket.close())
      ),
      callOf
    )

const endpoint: Client["endpoint"] = (server) =>
  Endpoint.make({
    name: "websocket",
    connect: (signal: Endpoint.ConnectionSignal<Failed>) =>
      Effect.gen(function* () {
        const socket = yield* Effect.acquireRelease(
          Effect.sync(() =>
            new WebSocket(urlOf(server))
              .on("error", (error) => signal.lost(new Failed(error)))
              .on("close", () => signal.lost())
          ),
          (socket) => Effect.sync(() => socket.terminate())
        )
        yield* Effect.async<void>((resume) => void socket.once("open", () => resume(Effect.void)))
        return callOf(socket)
      })
  })

/** Both are around the WebSocket of `ws`. */
export const webSocketClients: ReadonlyArray<Client> = [
  {
    name: "`reconnecting-websocket`",
    server,
    alone: opened((url) => new ReconnectingWebSocket(url, undefined, { WebSocket })),
    under: "`ws`",
    endpoint
  },
  {
    name: "`partysocket`",
    server,
    alone: opened((url) => new PartySocket(url, undefined, { WebSocket })),
    under: "`ws`",
    endpoint
  }
]
