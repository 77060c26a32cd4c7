import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Logger, LogLevel, Scope } from "effect"
import { ClientService } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { endpointsOfWebSockets } from "../support/peers.js"
import { clientSockets, listen as listenTcp } from "../support/server.js"
import { listen } from "../support/webSocketServer.js"

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
