import { NodeSocket } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Effect, Layer, Logger, LogLevel, Queue, type Scope, Stream } from "effect"
import {
  ClientService,
  Endpoint,
  InvalidOption,
  RetryPolicy,
  type Transport,
  type WebSocketError
} from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { clientSockets } from "./support/server.js"
import { connectOnce } from "./support/service.js"
import { echo, listen } from "./support/webSocketServer.js"

type WebSocketEndpoint<E> = Endpoint.Endpoint<Transport.Transport, E | WebSocketError.WebSocketError>

/** A service that is started and retries after 20 ms, and what its connections were lost with. */
const start = <E>(endpoint: WebSocketEndpoint<E>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint, retryPolicy: RetryPolicy.fromFunction(() => 20) })
    const failures = yield* Queue.unbounded<unknown>()
    yield* service.state.changes.pipe(
      Stream.runForEach((state) =>
        state._tag === "Waiting" ? Queue.offer(failures, Cause.squash(state.cause)) : Effect.void
      ),
      Effect.forkScoped
    )
    yield* service.start
    return { service, failures }
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

const take = (transport: Transport.Transport, count: number) =>
  Effect.map(Stream.runCollect(Stream.take(transport.incoming, count)), (chunks) =>
    Chunk.toReadonlyArray(chunks).map((chunk) => Buffer.from(chunk).toString())
  )

const overPlatformNode = (
  url: string
): Effect.Effect<WebSocketEndpoint<Transport.TransportError>, never, Scope.Scope> =>
  Effect.map(Layer.build(NodeSocket.layerWebSocketConstructor), (context) => {
    const endpoint = Endpoint.webSocket(url)
    return Endpoint.make({
      name: endpoint.name,
      connect: (signal: Endpoint.ConnectionSignal<Transport.TransportError | WebSocketError.WebSocketError>) =>
        Effect.provide(endpoint.connect(signal), context)
    })
  })

const platforms = [
  ["NodeEndpoint.webSocket", (url: string) => Effect.succeed(NodeEndpoint.webSocket(url))],
  ["Endpoint.webSocket with @effect/platform-node", overPlatformNode]
] as const

for (const [name, endpointOf] of platforms) {
  describe(name, () => {
    it.scopedLive("exchanges messages, whole and of the kind that they were sent as", () =>
      Effect.gen(function* () {
        const kinds: Array<boolean> = []
        const server = yield* listen({
          onMessage: (webSocket, data, isBinary) => {
            kinds.push(isBinary)
            echo(webSocket, data, isBinary)
          }
        })
        const { service } = yield* start(yield* endpointOf(`ws://127.0.0.1:${server.port}/`))
        const transport = yield* service.whenConnected()
        const large = "ü".repeat(100_000)
        yield* transport.write('{"a":1}')
        yield* transport.write(Buffer.from('{"b":2}'))
        yield* transport.write("")
        yield* transport.write(large)
        expect(yield* take(transport, 4)).toEqual(['{"a":1}', '{"b":2}', "", large])
        expect(kinds).toEqual([false, true, false, false])
      })
    )

    it.scopedLive("keeps the code and the reason of each close, and connects again", () =>
      Effect.gen(function* () {
        const server = yield* listen({ onMessage: echo })
        const { failures, service } = yield* start(yield* endpointOf(`ws://127.0.0.1:${server.port}/`))
        for (const [code, reason] of [
          [1000, "done"],
          [1001, ""],
          [1005, ""],
          [1006, ""],
          [4000, "x".repeat(123)]
        ] as const) {
          const { webSocket } = yield* Queue.take(server.accepted)
          yield* service.whenConnected()
          if (code === 1006) webSocket.terminate()
          else if (code === 1005) webSocket.close()
          else webSocket.close(code, reason)
          expect(yield* Queue.take(failures)).toMatchObject({
            _tag: "WebSocketClosed",
            endpoint: `ws://127.0.0.1:${server.port}`,
            code,
            reason
          })
        }
        const transport = yield* service.whenConnected()
        yield* transport.write("still here")
        expect(yield* take(transport, 1)).toEqual(["still here"])
      })
    )
  })
}

describe("NodeEndpoint.webSocket", () => {
  it.scopedLive("asks for URL and headers at every attempt, and offers the protocols", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      let token = 0
      const endpoint = NodeEndpoint.webSocket(
        Effect.sync(() => `ws://127.0.0.1:${server.port}/feed?attempt=${++token}`),
        { protocols: ["v2", "v1"], headers: Effect.sync(() => ({ authorization: `Bearer ${token}` })) }
      )
      const { failures } = yield* start(endpoint)
      for (const attempt of [1, 2]) {
        const { request, webSocket } = yield* Queue.take(server.accepted)
        expect([request.url, request.headers.authorization, webSocket.protocol]).toEqual([
          `/feed?attempt=${attempt}`,
          `Bearer ${attempt - 1}`,
          "v2"
        ])
        webSocket.close(1000)
        yield* Queue.take(failures)
      }
    })
  )

  for (const name of [
    ...["Connection", "upgrade", "Sec-WebSocket-Key", "sec-websocket-protocol", "sec-websocket-extensions"],
    ...["Content-Length", "transfer-encoding", "expect"]
  ]) {
    // Kind 13
    it.scopedLive(`refuses the header ${name}, which is the handshake's own or would break it`, () =>
      Effect.gen(function* () {
        const headers = { [name]: "100-continue" }
        expect(() => NodeEndpoint.webSocket("ws://a", { headers })).toThrow(
          expect.objectContaining({ _tag: "InvalidOption", option: "headers" })
        )
        const connecting = connectOnce(NodeEndpoint.webSocket("ws://127.0.0.1:1", { headers: Effect.succeed(headers) }))
        expect(yield* Effect.flip(Effect.scoped(connecting))).toMatchObject({ reason: "InvalidOption" })
      })
    )
  }

  it("refuses headers that HTTP does not allow, without showing their values", () => {
    for (const headers of [{ "two words": "secret" }, { authorization: "sec\nret" }]) {
      const make = () => NodeEndpoint.webSocket("ws://127.0.0.1", { headers })
      expect(make).toThrow(InvalidOption.InvalidOption)
      expect(make).toThrow(
        `NodeEndpoint.webSocket: headers must be headers of HTTP, and none of those of the handshake, as protocols has the subprotocols, got ["${Object.keys(headers)[0]}", "(not shown)"]`
      )
    }
  })

  it.scopedLive("fails the attempt if an Effect gives headers that HTTP does not allow", () =>
    Effect.gen(function* () {
      const headers = Effect.succeed({ authorization: "sec\nret" })
      const { failures } = yield* start(NodeEndpoint.webSocket("ws://127.0.0.1", { headers }))
      const error = yield* Queue.take(failures)
      expect(error).toMatchObject({
        _tag: "WebSocketOpenError",
        reason: "InvalidOption",
        detail: 'header "authorization"'
      })
      expect(String(error)).not.toContain("ret")
    })
  )

  it.scopedLive("tells why a server can't be reached, and finds it when it is back", () =>
    Effect.gen(function* () {
      const first = yield* listen()
      const { port } = first
      const { failures, service } = yield* start(NodeEndpoint.webSocket(`ws://127.0.0.1:${port}/?token=secret`))
      yield* service.whenConnected()
      yield* first.kill
      expect(yield* Queue.take(failures)).toMatchObject({ _tag: "WebSocketClosed", code: 1006 })
      expect(yield* Queue.take(failures)).toMatchObject({
        _tag: "WebSocketOpenError",
        reason: "Connection",
        detail: "ECONNREFUSED"
      })
      yield* listen({ port })
      yield* service.whenConnected()
    })
  )

  it.scopedLive("tells the status of a server that wants no WebSocket", () =>
    Effect.gen(function* () {
      const server = yield* listen({ accepts: false })
      const { failures } = yield* start(NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}/`))
      expect(yield* Queue.take(failures)).toMatchObject({
        _tag: "WebSocketOpenError",
        reason: "Status",
        detail: "Unexpected server response: 401",
        status: 401
      })
    })
  )

  it.scopedLive("survives a peer that does not speak WebSocket any more, and tells what it said", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const { failures, service } = yield* start(NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}/`))
      const { request } = yield* Queue.take(server.accepted)
      yield* service.whenConnected()
      request.socket.write("GET / HTTP/1.1\r\n\r\n")
      expect(yield* Queue.take(failures)).toMatchObject({
        _tag: "WebSocketClosed",
        code: 1006,
        detail: expect.stringContaining("WS_ERR_")
      })
    })
  )

  it.scopedLive("stop says goodbye with 1000, and leaves no socket", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const sockets = yield* clientSockets
      const { service } = yield* start(NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}/`))
      const { closed } = yield* Queue.take(server.accepted)
      yield* service.whenConnected()
      yield* service.stop
      expect(yield* closed).toBe(1000)
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
    })
  )

  it.scopedLive("stop leaves no socket of a peer that does not answer either", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const sockets = yield* clientSockets
      const { service } = yield* start(NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}/`))
      const { request } = yield* Queue.take(server.accepted)
      yield* service.whenConnected()
      request.socket.pause()
      yield* service.stop
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
    })
  )
})
