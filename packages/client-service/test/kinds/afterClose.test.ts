import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { ClientService, Exchange, Framing, TestEndpoint, TestTransport, type Transport } from "effect-client-service"
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

  describe("of whoever reads a stream that is none of the library", () => {
    /** A transport whose bytes are a stream, and whether somebody still pulls that. */
    const streamed = Effect.map(TestTransport.make(), ({ peer, transport }) => {
      const reading = { count: 0 }
      const incoming = Stream.acquireRelease(
        Effect.sync(() => (reading.count += 1)),
        () => Effect.sync(() => (reading.count -= 1))
      ).pipe(Stream.flatMap(() => Stream.map(transport.incoming, (chunk) => chunk)))
      return { peer, reading, transport: { ...transport, incoming } satisfies Transport.Transport }
    })

    const protocols: Record<
      string,
      (framed: Framing.Framed<string>) => Effect.Effect<Effect.Effect<unknown, unknown>, never, Scope.Scope>
    > = {
      "of frames": (framed) => Effect.succeed(framed.read),
      "of frames as a stream": (framed) => Effect.succeed(Stream.runDrain(framed.frames)),
      "of an exchange": (framed) => Effect.map(Exchange.inOrder(framed), ({ ask }) => ask("?"))
    }

    for (const [name, protocol] of Object.entries(protocols)) {
      // Kind 4
      it.scoped(`the reader ${name}, when the service stops`, () =>
        Effect.gen(function* () {
          const server = yield* TestEndpoint.make<Transport.Transport>()
          const service = yield* ClientService.make({
            endpoint: server.endpoint,
            protocol: Framing.protocol(Framing.lines(), protocol)
          })
          yield* service.start
          const { peer, reading, transport } = yield* streamed
          yield* server.accept(transport)
          yield* awaitState(service, "Connected")
          // One who has left a read, and one who is within it.
          const left = yield* Effect.fork(service.use((read) => read))
          yield* settle
          yield* peer.write("one")
          yield* settle
          yield* Fiber.interrupt(left)
          const using = yield* Effect.fork(Effect.flip(service.use((read) => read)))
          yield* settle
          expect(reading.count).toBe(1)
          yield* service.stop
          yield* settle
          expect(reading.count).toBe(0)
          expect(using.unsafePoll()).not.toBeNull()
        })
      )
    }

    // Kind 4
    it.scoped("an exchange without a service, when its Scope closes; and what follows is the next reader's", () =>
      Effect.gen(function* () {
        const { peer, reading, transport } = yield* streamed
        const framed = Framing.lines().over(transport)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const exchange = yield* Exchange.inOrder(framed)
            const asking = yield* Effect.fork(exchange.ask("?"))
            yield* settle
            yield* peer.write("one\n")
            expect(yield* Fiber.join(asking)).toBe("one")
          })
        )
        yield* settle
        expect(reading.count).toBe(0)
        yield* peer.write("three\n")
        expect(yield* framed.read).toBe("three")
      })
    )
  })
})
