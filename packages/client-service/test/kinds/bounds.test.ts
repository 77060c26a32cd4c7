import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option, Stream, TestClock } from "effect"
import { Incoming, TestTransport } from "effect-client-service"
import { settle } from "../support/fixture.js"
import { memoryPeers } from "../support/memoryPeers.js"

for (const [name, makePeer] of Object.entries(memoryPeers)) {
  describe(`bounds of ${name} hold where the memory is`, () => {
    // Kind 8
    it.scoped("a message over the buffer is delivered to a reader who waits, and to nobody else", () =>
      Effect.gen(function* () {
        const peer = yield* makePeer({ receiveBuffer: 10 })
        const reading = yield* Effect.fork(Stream.runHead(peer.transport.incoming))
        yield* settle
        yield* peer.receive("x".repeat(1000))
        expect(Option.map(yield* Fiber.join(reading), ({ length }) => length)).toEqual(Option.some(1000))
        expect(peer.losses).toEqual([])
        yield* peer.receive("x".repeat(11))
        // That reader may come back.
        yield* TestClock.adjust("1 second")
        expect(peer.losses).toMatchObject([{ reason: "Overflow", limit: 10 }])
      })
    )

    // Kind 11: A heartbeat and a reader take each other's bytes.
    it.scoped("a second reader fails with Busy, and takes nothing", () =>
      Effect.gen(function* () {
        const peer = yield* makePeer()
        const seen: Array<string> = []
        const reading = yield* peer.transport.incoming.pipe(
          Stream.runForEach((chunk) => Effect.sync(() => seen.push(new TextDecoder().decode(chunk)))),
          Effect.fork
        )
        yield* settle
        const heartbeat = Stream.runHead(peer.transport.incoming)
        expect(yield* Effect.flip(heartbeat)).toMatchObject({ reason: "Busy" })
        yield* peer.receive("event", "pong")
        yield* settle
        expect(seen).toEqual(["event", "pong"])
        yield* Fiber.interrupt(reading)
        yield* peer.receive("pong")
        expect(Option.isSome(yield* heartbeat)).toBe(true)
      })
    )
  })
}

describe("bounds of what is held back hold where the memory is", () => {
  // Kind 7
  it.scoped("of a source that is held back nothing is heard, which is no silence", () =>
    Effect.gen(function* () {
      const incoming = yield* Incoming.make({ lost: () => {}, linger: 1000, capacity: 1000 })
      incoming.from({ pause: () => {}, resume: () => {} })
      const began = (yield* Clock.currentTimeNanos) / 1_000_000n
      const heard = () => incoming.lastReceived !== undefined && incoming.lastReceived - Number(began)
      incoming.offer(new Uint8Array(100))
      yield* TestClock.adjust("1 minute")
      expect(heard()).toBe(0)
      incoming.offer(new Uint8Array(1000))
      yield* TestClock.adjust("1 minute")
      expect(heard()).toBe(120_000)
      yield* Effect.forkScoped(Stream.runDrain(incoming.stream))
      yield* settle
      yield* TestClock.adjust("1 minute")
      expect(heard()).toBe(120_000)
    })
  )

  // Kind 8
  it.scoped("a source is paused at the capacity, let go on when a reader waits, and bounded all the same", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const incoming = yield* Incoming.make({ lost: () => log.push("lost"), linger: 1000, capacity: 2000 })
      incoming.from({ pause: () => log.push("pause"), resume: () => log.push("resume") })
      const chunk = new Uint8Array(1000)
      incoming.offer(chunk)
      expect(log).toEqual([])
      incoming.offer(chunk)
      // What was on its way.
      for (let more = 0; more < 1000; more++) incoming.offer(new Uint8Array(0))
      expect(log).toEqual(["pause"])
      const reading = yield* Effect.fork(Stream.runDrain(incoming.stream))
      yield* settle
      expect(log).toEqual(["pause", "resume"])
      yield* Fiber.interrupt(reading)
      incoming.offer(new Uint8Array(5000))
      incoming.offer(new Uint8Array(64 * 1024 * 1024))
      expect(incoming.failure).toMatchObject({ reason: "Overflow", limit: 2000 })
      expect(log).toEqual(["pause", "resume", "pause"])
    })
  )

  // Kind 8
  it.effect("what is written in memory stays as it was, though the array is used again", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* TestTransport.make()
      const bytes = Buffer.from("first")
      yield* transport.write(bytes)
      bytes.write("other")
      expect(yield* peer.readText).toEqual(Option.some("first"))
    })
  )

  // Kind 11
  it.effect("a second reader of a transport in memory fails with Busy as well", () =>
    Effect.gen(function* () {
      const { transport } = yield* TestTransport.make()
      yield* Effect.fork(Stream.runDrain(transport.incoming))
      yield* settle
      expect(yield* Effect.flip(Stream.runDrain(transport.incoming))).toMatchObject({ reason: "Busy" })
    })
  )
})
