import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { ClientService, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"

describe("nothing outlives the close", () => {
  // Kind 4: What watches a service, or the socket of a mute peer, is left behind when the service is closed.
  it.scoped("the changes of the state and the protocol end when the owner Scope closes, after the last", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string>()
      const scope = yield* Scope.make()
      const service = yield* Scope.extend(ClientService.make({ endpoint: server.endpoint }), scope)
      const states = yield* Effect.fork(Stream.runCollect(Stream.map(service.state.changes, ({ _tag }) => _tag)))
      const protocols = yield* Effect.fork(Stream.runCollect(service.protocol.changes))
      yield* settle
      yield* service.start
      yield* server.accept("protocol")
      yield* awaitState(service, "Connected")
      yield* service.stop
      yield* settle
      expect([states.unsafePoll(), protocols.unsafePoll()]).toEqual([null, null])
      yield* Scope.close(scope, Exit.void)
      expect(Chunk.toReadonlyArray(yield* Fiber.join(states))).toEqual([
        "Init",
        "Connecting",
        "Connected",
        "Disconnecting",
        "Stopped"
      ])
      expect(Chunk.toReadonlyArray(yield* Fiber.join(protocols))).toEqual([
        Option.none(),
        Option.some("protocol"),
        Option.none()
      ])
    })
  )

  // Kind 4
  it.scoped("whoever begins to watch after that gets the last, and the end", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string>()
      const scope = yield* Scope.make()
      const service = yield* Scope.extend(ClientService.make({ endpoint: server.endpoint }), scope)
      yield* service.start
      yield* Scope.close(scope, Exit.void)
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(service.state.changes))).toMatchObject([
        { _tag: "Stopped" }
      ])
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(service.protocol.changes))).toEqual([Option.none()])
    })
  )
})
