import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Option, Stream } from "effect"
import { ClientService, InvalidOption, TestEndpoint, TestTransport, Transport } from "effect-client-service"
import { settle } from "./support/fixture.js"

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk)

const texts = (transport: Transport.Transport) =>
  Effect.map(Stream.runCollect(transport.incoming), (chunks) => Chunk.toReadonlyArray(chunks).map(text))

const closed = new Transport.TransportError({ reason: "Closed" })

/** Either end as the writer, and the other. */
const ends = {
  transport: ({ peer, transport }: TestTransport.TestTransport) => [transport, peer] as const,
  peer: ({ peer, transport }: TestTransport.TestTransport) => [peer, transport] as const
}

for (const [name, ofPair] of Object.entries(ends)) {
  describe(`what the ${name} writes`, () => {
    it.effect("arrives at the other end in its order, chunk by chunk, before the end", () =>
      Effect.gen(function* () {
        const [one, other] = ofPair(yield* TestTransport.make())
        yield* one.write("a")
        yield* one.write(new TextEncoder().encode("bc"))
        yield* one.write("")
        yield* one.end
        expect(yield* texts(other)).toEqual(["a", "bc", ""])
      })
    )

    it.effect("is a copy of the bytes as they were", () =>
      Effect.gen(function* () {
        const [one, other] = ofPair(yield* TestTransport.make())
        const bytes = Uint8Array.of(1, 2)
        yield* one.write(bytes)
        bytes[0] = 9
        expect(yield* Stream.runHead(other.incoming)).toEqual(Option.some(Uint8Array.of(1, 2)))
      })
    )

    it.effect("waits while as much as the capacity is unread, in the order in which it began", () =>
      Effect.gen(function* () {
        const [one, other] = ofPair(yield* TestTransport.make({ capacity: 4 }))
        yield* one.write("abc")
        yield* one.write("def")
        const waiting = [yield* Effect.fork(one.write("g")), yield* Effect.fork(one.write("h"))]
        const ending = yield* Effect.fork(one.end)
        yield* settle
        expect(waiting.map((fiber) => fiber.unsafePoll())).toEqual([null, null])
        expect(ending.unsafePoll()).toBeNull()
        yield* Stream.runHead(other.incoming)
        yield* settle
        expect(waiting.map((fiber) => fiber.unsafePoll())).toEqual([Exit.void, null])
        expect(yield* texts(other)).toEqual(["def", "g", "h"])
        yield* Fiber.join(ending)
      })
    )

    it.effect("is not written if it is interrupted while it waits", () =>
      Effect.gen(function* () {
        const [one, other] = ofPair(yield* TestTransport.make({ capacity: 1 }))
        yield* one.write("a")
        const waiting = yield* Effect.fork(one.write("b"))
        yield* settle
        yield* Fiber.interrupt(waiting)
        const ending = yield* Effect.fork(one.end)
        expect(yield* texts(other)).toEqual(["a"])
        yield* Fiber.join(ending)
      })
    )

    it.effect("after the end is refused, while the other direction goes on", () =>
      Effect.gen(function* () {
        const [one, other] = ofPair(yield* TestTransport.make())
        yield* one.end
        expect(yield* Effect.flip(one.write("late"))).toEqual(closed)
        expect(yield* Effect.flip(one.end)).toEqual(closed)
        yield* other.write("still")
        expect(yield* Effect.map(Stream.runHead(one.incoming), Option.map(text))).toEqual(Option.some("still"))
      })
    )
  })
}

describe("close", () => {
  it.effect("leaves both ends what has arrived, and then fails their reading and writing", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* TestTransport.make()
      yield* transport.write("up")
      yield* peer.write("down")
      yield* peer.close
      for (const [end, arrived] of [
        [transport, "down"],
        [peer, "up"]
      ] as const) {
        expect(yield* Effect.map(Stream.runHead(end.incoming), Option.map(text))).toEqual(Option.some(arrived))
        expect(yield* Effect.flip(Stream.runDrain(end.incoming))).toEqual(closed)
        expect(yield* Effect.flip(end.write("late"))).toEqual(closed)
        expect(yield* Effect.flip(end.end)).toEqual(closed)
      }
    })
  )

  it.effect("fails what waits to be written, and who waits to read", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* TestTransport.make({ capacity: 1 })
      yield* transport.write("full")
      const writing = yield* Effect.fork(Effect.flip(transport.write("waits")))
      const reading = yield* Effect.fork(Effect.flip(Stream.runDrain(transport.incoming)))
      yield* settle
      yield* peer.close
      expect([yield* Fiber.join(writing), yield* Fiber.join(reading)]).toEqual([closed, closed])
    })
  )
})

describe("read", () => {
  it.effect("takes one chunk at a time, waits for it, and gives none after the end", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* TestTransport.make()
      const reading = yield* Effect.fork(peer.readText)
      yield* settle
      expect(reading.unsafePoll()).toBeNull()
      yield* transport.write("one")
      yield* transport.write("two")
      yield* transport.end
      expect(yield* Fiber.join(reading)).toEqual(Option.some("one"))
      expect(yield* peer.read).toEqual(Option.some(new TextEncoder().encode("two")))
      expect(yield* peer.readText).toEqual(Option.none())
    })
  )

  it.effect("interrupted, takes nothing", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* TestTransport.make()
      const reading = yield* Effect.fork(peer.read)
      yield* settle
      yield* Fiber.interrupt(reading)
      yield* transport.write("one")
      expect(yield* peer.readText).toEqual(Option.some("one"))
    })
  )
})

describe("make", () => {
  it("refuses a capacity of nothing", () => {
    expect(() => TestTransport.make({ capacity: 0 })).toThrow(InvalidOption.InvalidOption)
  })

  it.scoped("is what a protocol and prepare are tested with", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Transport.Transport, string>()
      const { peer, transport } = yield* TestTransport.make()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        prepare: ({ incoming, write }) =>
          Effect.filterOrFail(
            Effect.zipRight(write("AUTH"), Stream.runHead(incoming)),
            (answer) => Option.exists(answer, (bytes) => text(bytes) === "OK"),
            () => "refused"
          )
      })
      yield* service.start
      yield* server.accept(transport)
      expect(yield* peer.readText).toEqual(Option.some("AUTH"))
      yield* peer.write("OK")
      expect(yield* service.whenConnected()).toBe(transport)
    })
  )
})
