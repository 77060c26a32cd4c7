import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import { Deferred, Effect, Queue, type Scope } from "effect"
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws"

export interface Accepted {
  readonly webSocket: WebSocket
  readonly request: Http.IncomingMessage
  /** The code that the client closes with. */
  readonly closed: Effect.Effect<number>
}

export interface Server {
  readonly port: number
  /** The WebSockets, in the order in which they were accepted. */
  readonly accepted: Queue.Dequeue<Accepted>
  /** Stops listening and breaks all WebSockets off, as the end of its process would. */
  readonly kill: Effect.Effect<void>
}

/** A server of WebSockets on the loopback interface. */
export const listen = (
  options: {
    readonly port?: number
    /** Whether it agrees to WebSockets. Otherwise it wants the client to log in. */
    readonly accepts?: boolean
    readonly onConnection?: (webSocket: WebSocket, request: Http.IncomingMessage) => void
    /** Whether it compresses messages, if the client agrees. */
    readonly compresses?: boolean
    readonly onMessage?: (webSocket: WebSocket, data: Buffer, isBinary: boolean) => void
    readonly onRequest?: Http.RequestListener
    readonly host?: string
    readonly tls?: Https.ServerOptions
    readonly options?: ServerOptions
  } = {}
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const accepted = yield* Queue.unbounded<Accepted>()
      const onRequest: Http.RequestListener = options.onRequest ?? ((_, response) => response.writeHead(404).end())
      const http = options.tls === undefined ? Http.createServer(onRequest) : Https.createServer(options.tls, onRequest)
      http.on("tlsClientError", () => {})
      const verifyClient = () => options.accepts ?? true
      const server = new WebSocketServer({
        server: http,
        verifyClient,
        perMessageDeflate: options.compresses ?? false,
        ...options.options
      })
      server.on("connection", (webSocket, request) => {
        const closed = Deferred.unsafeMake<number>(Effect.runSync(Effect.fiberId))
        webSocket.on("error", () => {})
        webSocket.on("close", (code) => Deferred.unsafeDone(closed, Effect.succeed(code)))
        webSocket.on("message", (data, isBinary) => {
          if (Buffer.isBuffer(data)) options.onMessage?.(webSocket, data, isBinary)
        })
        options.onConnection?.(webSocket, request)
        Queue.unsafeOffer(accepted, { webSocket, request, closed: Deferred.await(closed) })
      })
      yield* Effect.async<void>((resume) => {
        http.once("error", (error) => resume(Effect.die(error)))
        http.listen(options.port ?? 0, options.host ?? "127.0.0.1", () => resume(Effect.void))
      })
      return {
        accepted,
        port: (http.address() as AddressInfo).port,
        kill: Effect.async<void>((resume) => {
          for (const client of server.clients) client.terminate()
          http.close(() => resume(Effect.void))
          http.closeAllConnections()
        })
      }
    }),
    (server) => server.kill
  )

/** Sends a message back as it came. */
export const echo = (webSocket: WebSocket, data: Buffer, isBinary: boolean): void =>
  webSocket.send(data, { binary: isBinary })
