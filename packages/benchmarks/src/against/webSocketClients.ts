import * as Socket from "@effect/platform/Socket"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import PartySocket from "partysocket/ws"
import reconnectingWebSocket from "reconnecting-websocket"
import { WebSocket } from "ws"

/** What all of the clients are told, in milliseconds. */
export const delays = { first: 100, longest: 1_000, factor: 1.5, stableAfter: 300, connectTimeout: 4_000 }

/** Opens a client of its kind for as long as the Scope lives, and gives the wait for its having a connection. */
export type WebSocketClient = (url: string) => Effect.Effect<Effect.Effect<unknown>, never, Scope.Scope>

export type Rival = "partysocket" | "reconnecting-websocket" | "ws, which does not reconnect"

export const clientService: WebSocketClient = (url) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: Endpoint.webSocket(url),
      retryPolicy: RetryPolicy.backoff({
        initialDelay: delays.first,
        maxDelay: delays.longest,
        factor: delays.factor,
        jitter: Effect.succeed(0)
      }),
      resetAfter: delays.stableAfter,
      connectTimeout: delays.connectTimeout
    })
    yield* service.start
    return Effect.orDie(service.whenConnected())
  }).pipe(Effect.provideService(Socket.WebSocketConstructor, nodeWebSocket))

export const rivals: Record<Rival, WebSocketClient> = {
  partysocket: (url) => opened(() => new PartySocket(url, undefined, options)),
  "reconnecting-websocket": (url) => opened(() => new ReconnectingWebSocket(url, undefined, options)),
  "ws, which does not reconnect": (url) => opened(() => new WebSocket(url))
}

// Its types describe an ES module, with a default export; what Node loads is CommonJS, and is the class itself.
export const ReconnectingWebSocket = reconnectingWebSocket as unknown as typeof reconnectingWebSocket.default

const options = {
  WebSocket,
  minReconnectionDelay: delays.first,
  maxReconnectionDelay: delays.longest,
  reconnectionDelayGrowFactor: delays.factor,
  minUptime: delays.stableAfter,
  connectionTimeout: delays.connectTimeout
}

interface Opened {
  readonly readyState: number
  addEventListener(type: "open" | "error", listener: () => void): void
  removeEventListener(type: "open", listener: () => void): void
  close(): void
}

const opened = (make: () => Opened) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = make()
      client.addEventListener("error", () => {})
      return client
    }),
    (client) => Effect.sync(() => client.close())
  ).pipe(
    Effect.map((client) =>
      Effect.async<void>((resume) => {
        if (client.readyState === WebSocket.OPEN) return resume(Effect.void)
        const open = (): void => {
          client.removeEventListener("open", open)
          resume(Effect.void)
        }
        client.addEventListener("open", open)
      })
    )
  )

// The class that the rivals are given too. Its types differ from those of browsers in what nobody uses here.
const nodeWebSocket = (url: string, protocols?: string | Array<string>) =>
  new WebSocket(url, protocols) as unknown as globalThis.WebSocket
