import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, PubSub, Stream, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"

const everyMinute = RetryPolicy.fromFunction(() => "1 minute")

/** A started service that reconnects on signals. */
const make = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const signals = yield* PubSub.unbounded<string>()
  const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: everyMinute })
  yield* service.start
  const reconnecting = yield* Effect.fork(ClientService.reconnectOn(service, Stream.fromPubSub(signals)))
  yield* settle
  return { reconnecting, server, service, signals }
})

/** An endpoint that is refused after some milliseconds, and counts its attempts. */
const makeRefusing = (millis: number) => {
  const counts = { begun: 0, running: 0, over: 0, most: 0 }
  const endpoint = Endpoint.make({
    name: "refusing",
    connect: () =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          counts.begun += 1
          counts.running += 1
          counts.most = Math.max(counts.most, counts.running)
        }),
        () => Effect.zipRight(millis === 0 ? Effect.void : Effect.sleep(millis), Effect.fail("refused")),
        () =>
          Effect.sync(() => {
            counts.running -= 1
            counts.over += 1
          })
      )
  })
  return { counts, endpoint }
}

describe("reconnectOn", () => {
  it.scoped("begins the next attempt at an element while the service waits", () =>
    Effect.gen(function* () {
      const { server, service, signals } = yield* make
      for (const attempt of [1, 2, 3]) {
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        expect(yield* server.attempts).toBe(attempt)
        yield* PubSub.publish(signals, "online")
        yield* settle
        expect(yield* server.attempts).toBe(attempt + 1)
      }
    })
  )

  it.scoped("replaces the connection at an element, closing the old one first", () =>
    Effect.gen(function* () {
      const { server, service, signals } = yield* make
      const first = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* PubSub.publish(signals, "rotated")
      yield* first.awaitClosed
      yield* server.accept("second")
      yield* settle
      expect(yield* service.whenConnected()).toBe("second")
      expect([yield* server.opens, yield* server.closes]).toEqual([2, 1])
    })
  )

  it.scoped("a thousand signals in a burst make one attempt for the one that has ended", () =>
    Effect.gen(function* () {
      const { server, service, signals } = yield* make
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* PubSub.publishAll(
        signals,
        Array.from({ length: 1000 }, () => "online")
      )
      yield* Effect.repeatN(settle, 100)
      expect(yield* server.attempts).toBe(2)
      expect((yield* service.state.get)._tag).toBe("Connecting")
    })
  )

  it.scoped("a thousand signals in a burst replace a connection once", () =>
    Effect.gen(function* () {
      const { server, service, signals } = yield* make
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* PubSub.publishAll(
        signals,
        Array.from({ length: 1000 }, () => "rotated")
      )
      yield* Effect.repeatN(settle, 100)
      expect(yield* server.attempts).toBe(2)
      expect([yield* server.opens, yield* server.closes]).toEqual([1, 1])
    })
  )

  for (const millis of [0, 7]) {
    it.scoped(`a thousand signals in a second make no attempts in parallel, each refused after ${millis} ms`, () =>
      Effect.gen(function* () {
        const { counts, endpoint } = makeRefusing(millis)
        const service = yield* ClientService.make({ endpoint, retryPolicy: everyMinute })
        yield* service.start
        const signals = Stream.take(Stream.tick("1 millis"), 1000)
        const reconnecting = yield* Effect.fork(ClientService.reconnectOn(service, signals))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(reconnecting)
        yield* settle
        expect(counts.most).toBe(1)
        expect(counts.begun - counts.over).toBeLessThanOrEqual(1)
        expect(counts.begun).toBeGreaterThan(100)
        // No signal begins more than one attempt, and none that comes during an attempt begins any.
        expect(counts.begun).toBeLessThanOrEqual(millis === 0 ? 1001 : 1 + 1000 / millis)
      })
    )
  }

  it.scoped("does nothing to a service that is not started, and to one that is stopped", () =>
    Effect.gen(function* () {
      const { counts, endpoint } = makeRefusing(0)
      const service = yield* ClientService.make({ endpoint, retryPolicy: everyMinute })
      yield* ClientService.reconnectOn(service, Stream.make(1, 2, 3))
      expect((yield* service.state.get)._tag).toBe("Init")
      yield* service.stop
      yield* ClientService.reconnectOn(service, Stream.make(1, 2, 3))
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Stopped")
      expect(counts.begun).toBe(0)
    })
  )

  it.scoped("ends with the stream, and leaves the service as it is", () =>
    Effect.gen(function* () {
      const { reconnecting, server, service, signals } = yield* make
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* PubSub.shutdown(signals)
      expect(yield* Fiber.await(reconnecting)).toEqual(Exit.void)
      expect((yield* service.state.get)._tag).toBe("Waiting")
    })
  )

  it.scoped("passes the failure of the stream on, after the elements before it", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      const stream = Stream.concat(Stream.make("online"), Stream.fail("unplugged"))
      expect(yield* Effect.flip(ClientService.reconnectOn(service, stream))).toBe("unplugged")
      expect((yield* service.state.get)._tag).toBe("Connecting")
    })
  )

  it.scoped("no longer reconnects once it is interrupted", () =>
    Effect.gen(function* () {
      const { reconnecting, server, service, signals } = yield* make
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* Fiber.interrupt(reconnecting)
      yield* PubSub.publish(signals, "online")
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Waiting")
    })
  )
})
