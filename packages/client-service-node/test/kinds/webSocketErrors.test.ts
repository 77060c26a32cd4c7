import { createHash } from "node:crypto"
import type { Socket } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Logger, LogLevel, Queue, Scope, Stream, TestClock } from "effect"
import { ClientService } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { endpointsOfWebSockets } from "../support/peers.js"
import { clientSockets, listen as listenTcp } from "../support/server.js"
import { readText } from "../support/service.js"
import { turn, turns } from "../support/turns.js"
import { listen } from "../support/webSocketServer.js"

/** Agrees to a WebSocket, sends something, and does nothing more. */
const agree = (frames: Uint8Array) => (socket: Socket) => {
  socket.once("data", (request) => {
    const [, key = ""] = /sec-websocket-key: (.*)\r\n/i.exec(String(request)) ?? []
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
    const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    socket.write(`${[...head, `Sec-WebSocket-Accept: ${accept}`].join("\r\n")}\r\n\r\n`)
    socket.write(frames)
    socket.resume()
  })
}

const message = (text: string) => Buffer.from([0x81, text.length, ...Buffer.from(text)])

for (const [name, endpointOf] of Object.entries(endpointsOfWebSockets)) {
  describe(`an attempt by ${name} fails at the first event that decides`, () => {
    const failure = (port: number) =>
      Effect.gen(function* () {
        const service = yield* ClientService.make({
          endpoint: endpointOf(`ws://127.0.0.1:${port}`),
          connectTimeout: "1 hour"
        })
        yield* service.start
        return yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

    // Kind 3
    it.scopedLive("if the port refuses", () =>
      Effect.gen(function* () {
        const server = yield* listenTcp()
        yield* server.kill
        expect(yield* failure(server.port)).toMatchObject({ _tag: "WebSocketOpenError" })
      })
    )

    // Kind 3
    it.scopedLive("if the server wants no WebSocket", () =>
      Effect.gen(function* () {
        const server = yield* listen({ accepts: false })
        expect(yield* failure(server.port)).toMatchObject({ _tag: "WebSocketOpenError" })
      })
    )

    // Kind 3
    it.scopedLive("if the server closes in the handshake", () =>
      Effect.gen(function* () {
        const server = yield* listenTcp((socket) => socket.once("data", () => socket.end()))
        expect(yield* failure(server.port)).toMatchObject({ _tag: "WebSocketOpenError" })
      })
    )
  })
}

const overWs = Object.entries(endpointsOfWebSockets).filter(([name]) => !name.includes("platform"))

for (const [name, endpointOf] of overWs) {
  for (const [what, code, body] of [
    ["with a code", 4321, [16, 225]],
    ["that is too large", 1009, [3, 241]],
    ["without a code", 1005, []]
  ] as const) {
    // Kind 4
    it.scoped(`${name}: a server that has said goodbye ${what} and does not close is lost after a second`, () =>
      Effect.gen(function* () {
        const goodbye = Buffer.from([0x88, body.length, ...body])
        const { port } = yield* listenTcp(agree(Buffer.concat([...["one", "two"].map(message), goodbye])), {
          allowHalfOpen: true
        })
        const losses = yield* Queue.unbounded<unknown>()
        const transport = yield* endpointOf(`ws://127.0.0.1:${port}`).connect({
          lost: (error) => losses.unsafeOffer(error)
        })
        const received: Array<string> = []
        const reading = yield* Effect.fork(
          Effect.exit(
            Stream.runForEach(transport.incoming, (chunk) =>
              Effect.sync(() => received.push(Buffer.from(chunk).toString()))
            )
          )
        )
        yield* Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: (sleeps) => [...sleeps].length > 0 })
        yield* TestClock.adjust("999 millis")
        expect(yield* Queue.size(losses)).toBe(0)
        yield* TestClock.adjust("1 millis")
        expect(yield* Queue.take(losses)).toMatchObject({ _tag: "WebSocketClosed", code })
        const end = yield* Fiber.join(reading)
        expect(Exit.isSuccess(end)).toBe(code === 1005)
        expect(received).toEqual(["one", "two"])
      })
    )
  }
}

const overPlatform = Object.entries(endpointsOfWebSockets).filter(([name]) => name.includes("platform"))

for (const [name, endpointOf] of overPlatform) {
  // Kind 3
  it.scoped(`${name}: a server that has said goodbye and does not close is lost within two seconds`, () =>
    Effect.gen(function* () {
      const { port } = yield* listenTcp(agree(Buffer.concat([message("one"), Buffer.from([0x88, 2, 3, 232])])), {
        allowHalfOpen: true
      })
      for (const isClosed of [false, true]) {
        const losses = yield* Queue.unbounded<unknown>()
        const scope = yield* Scope.make()
        const transport = yield* Scope.extend(
          endpointOf(`ws://127.0.0.1:${port}`).connect({ lost: (error) => losses.unsafeOffer(error) }),
          scope
        )
        expect(yield* readText(transport, 3)).toBe("one")
        yield* turns(20)
        yield* TestClock.adjust("1 second")
        if (isClosed) {
          const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
          yield* Effect.zipRight(turns(2), TestClock.adjust("1 second"))
          yield* Fiber.join(closing)
        }
        yield* Effect.zipRight(turns(2), TestClock.adjust("1 second"))
        expect(yield* Queue.takeAll(losses)).toEqual(
          isClosed
            ? Chunk.empty()
            : Chunk.of(
                expect.objectContaining({
                  _tag: "WebSocketClosed",
                  code: 1006,
                  detail: expect.stringContaining("goodbye")
                })
              )
        )
        yield* Scope.close(scope, Exit.void)
      }
    })
  )
}

for (const [name, endpointOf] of overPlatform) {
  // Kind 4
  it.scoped(`${name}: one timer watches over all WebSockets, and none is left behind`, () =>
    Effect.gen(function* () {
      const { port } = yield* listenTcp(agree(message("one")))
      const scope = yield* Scope.make()
      const connect = Scope.extend(endpointOf(`ws://127.0.0.1:${port}`).connect({ lost: () => {} }), scope)
      yield* Effect.repeatN(connect, 2)
      yield* Effect.zipRight(turns(2), TestClock.adjust("5 seconds"))
      yield* turns(2)
      expect([...(yield* TestClock.sleeps())]).toHaveLength(1)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Effect.repeatN(Effect.zipRight(turns(2), TestClock.adjust("1 second")), 3)
      yield* Fiber.join(closing)
      yield* turns(2)
      expect([...(yield* TestClock.sleeps())]).toHaveLength(0)
    })
  )
}

// Kind 4
it.scopedLive("the sockets of WebSockets whose peers are mute are destroyed", () =>
  Effect.gen(function* () {
    const server = yield* listen({ onConnection: (_, { socket }) => void socket.pause() })
    const sockets = yield* clientSockets
    const endpoint = NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}`)
    const scopes = yield* Effect.replicateEffect(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Scope.extend(endpoint.connect({ lost: () => {} }), scope)
        return scope
      }),
      7
    )
    yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { concurrency: "unbounded" })
    expect(sockets.filter(({ destroyed }) => !destroyed)).toHaveLength(0)
    expect(sockets.length).toBeGreaterThanOrEqual(7)
  })
)
