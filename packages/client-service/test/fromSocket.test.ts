import { Socket } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Option, Scope, Stream, TestClock } from "effect"
import { Endpoint } from "effect-client-service"
import { settle } from "./support/fixture.js"
import { makeSocket } from "./support/memorySocket.js"

const makeTransport = (write?: Parameters<typeof makeSocket>[0]) =>
  Effect.gen(function* () {
    const peer = yield* makeSocket(write)
    const losses: Array<unknown> = []
    const endpoint = Endpoint.fromSocket("peer", Effect.succeed(peer.socket))
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const connecting = yield* Effect.fork(
      Scope.extend(endpoint.connect({ lost: (error) => losses.push(error) }), scope)
    )
    yield* peer.open
    return { peer, transport: yield* Fiber.join(connecting), scope, losses }
  })

class FakeWebSocket extends EventTarget {
  readonly readyState = 1
  close() {}
  send() {}
  receive(data: unknown) {
    this.dispatchEvent(Object.assign(new Event("message"), { data }))
  }
}

describe("fromSocket", () => {
  it.scoped("a consumer that takes the first chunk leaves the rest to the next", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      yield* peer.receive("one", "two", "three")
      const next = Effect.map(
        Stream.runHead(transport.incoming),
        Option.map((chunk) => new TextDecoder().decode(chunk))
      )
      expect(yield* next).toEqual(Option.some("one"))
      const second = yield* Effect.fork(next)
      yield* settle
      expect(second.unsafePoll()).not.toBeNull()
      expect(yield* Fiber.join(second)).toEqual(Option.some("two"))
    })
  )

  it.scoped("a write after end fails with Closed", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      yield* transport.end
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      expect(peer.sent).toHaveLength(1)
    })
  )

  it.scoped("a write that hangs fails with Closed when the connection ends", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport(() => Effect.never)
      const writing = yield* Effect.fork(transport.write("stuck"))
      yield* settle
      yield* peer.end
      yield* settle
      expect(writing.unsafePoll()).not.toBeNull()
      expect(yield* Effect.flip(Fiber.join(writing))).toMatchObject({ reason: "Closed" })
    })
  )

  it.scoped("incoming fails with Closed when the service closes the connection", () =>
    Effect.gen(function* () {
      const { scope, transport } = yield* makeTransport()
      const reading = yield* Effect.fork(Stream.runCollect(transport.incoming))
      yield* settle
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      expect(yield* Effect.flip(Fiber.join(reading))).toMatchObject({ reason: "Closed" })
    })
  )

  it.scoped("tells the defect of a socket that dies", () =>
    Effect.gen(function* () {
      const { losses, peer } = yield* makeTransport()
      yield* peer.die(new Error("bug"))
      yield* settle
      expect(losses).toEqual([expect.objectContaining({ _tag: "TransportError", cause: new Error("bug") })])
    })
  )

  it.scoped("a WebSocket of binaryType arraybuffer gives bytes", () =>
    Effect.gen(function* () {
      const ws = new FakeWebSocket()
      const endpoint = Endpoint.fromSocket(
        "ws",
        Socket.fromWebSocket(Effect.succeed(ws as unknown as globalThis.WebSocket)),
        { receiveBuffer: 4 }
      )
      const losses: Array<unknown> = []
      const transport = yield* endpoint.connect({ lost: (error) => losses.push(error) })
      ws.receive(Uint8Array.from([1, 2, 3]).buffer)
      const first = yield* Stream.runCollect(Stream.take(transport.incoming, 1))
      expect(Chunk.toReadonlyArray(first)).toEqual([Uint8Array.from([1, 2, 3])])
      ws.receive(new ArrayBuffer(5))
      yield* TestClock.adjust("1 second")
      expect(losses).toMatchObject([{ reason: "Overflow" }])
    })
  )
})
