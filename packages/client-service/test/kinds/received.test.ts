import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope, Stream, TestClock } from "effect"
import { ClientService, Exchange, Framing, RetryPolicy, TestEndpoint, type Transport } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"
import { memoryEndpoints, memoryPeers } from "../support/memoryPeers.js"
import { withTimers } from "../support/timers.js"

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk)

/** Reads as one who takes 100 milliseconds for each message. */
const readSlowly = (transport: Transport.Transport, seen: Array<string>, millis = 100) =>
  Stream.runForEach(transport.incoming, (chunk) =>
    Effect.zipRight(
      Effect.sleep(millis),
      Effect.sync(() => seen.push(text(chunk)))
    )
  )

const next = ({ incoming }: Transport.Transport) => Effect.map(Stream.runHead(incoming), Option.map(text))

for (const [name, makePeer] of Object.entries(memoryPeers)) {
  describe(`what was received over ${name} before the loss is the application's`, () => {
    for (const how of ["end", "fail"] as const) {
      it.scoped(`a reader that is slow gets all that came before the ${how}, then that, and only then the loss`, () =>
        Effect.gen(function* () {
          const peer = yield* makePeer()
          const messages = Array.from({ length: 50 }, (_, i) => `${i}`)
          const seen: Array<string> = []
          const reading = yield* Effect.fork(Effect.exit(readSlowly(peer.transport, seen)))
          yield* settle
          yield* peer.receive(...messages)
          yield* peer[how]
          yield* TestClock.adjust(4999)
          expect([seen.length, peer.losses.length]).toEqual([49, 0])
          yield* TestClock.adjust(1)
          yield* settle
          expect(seen).toEqual(messages)
          expect(Exit.isSuccess(yield* Fiber.join(reading))).toBe(how === "end")
          expect(peer.losses).toHaveLength(1)
        })
      )
    }

    // Kind 1: What was received is thrown away when the connection is lost, or before whoever read it could act on it.
    it.scoped("one that has read has a second to come back, be it for the rest or for the end", () =>
      Effect.gen(function* () {
        for (const unread of [["last words"], []]) {
          const peer = yield* makePeer()
          yield* peer.receive("first", ...unread)
          expect(yield* next(peer.transport)).toEqual(Option.some("first"))
          yield* TestClock.adjust(500)
          yield* peer.end
          yield* TestClock.adjust(499)
          expect(peer.losses).toHaveLength(0)
          if (unread.length > 0) expect(yield* next(peer.transport)).toEqual(Option.some("last words"))
          else yield* TestClock.adjust(1)
          yield* TestClock.adjust(unread.length > 0 ? 999 : 0)
          yield* settle
          expect(peer.losses).toHaveLength(unread.length > 0 ? 0 : 1)
          yield* TestClock.adjust(1)
          yield* settle
          expect(peer.losses).toHaveLength(1)
        }
      })
    )

    // Kind 1
    it.scoped("one that stays away, or has read long ago, does not hold the loss back", () =>
      Effect.gen(function* () {
        const busy = yield* makePeer()
        yield* Effect.fork(readSlowly(busy.transport, [], 60_000))
        yield* settle
        yield* busy.receive("takes a minute")
        yield* settle
        yield* busy.end
        yield* TestClock.adjust(999)
        expect(busy.losses).toHaveLength(0)
        yield* TestClock.adjust(1)
        yield* settle
        expect(busy.losses).toHaveLength(1)

        const idle = yield* makePeer()
        yield* idle.receive("answer")
        yield* next(idle.transport)
        yield* TestClock.adjust(1000)
        yield* idle.end
        yield* settle
        expect(idle.losses).toHaveLength(1)
      })
    )

    // Kind 1
    it.scoped("where nobody reads, the loss is known at once", () =>
      Effect.gen(function* () {
        const peer = yield* makePeer()
        yield* peer.receive("unread")
        yield* peer.end
        yield* settle
        expect(peer.losses).toHaveLength(1)
      })
    )

    // Kind 1
    it.scoped("closing tells of no loss, and leaves no timer", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const peer = yield* makePeer()
          yield* peer.receive("first", "unread")
          yield* next(peer.transport)
          yield* peer.end
          yield* settle
          expect([peer.losses.length, timers.pending()]).toEqual([0, 1])
          yield* Scope.close(peer.scope, Exit.void)
          yield* settle
          expect([peer.losses.length, timers.pending()]).toEqual([0, 0])
        })
      )
    )

    // Kind 1
    it.scoped("callers that write again without a pause do not hold up the reader", () =>
      Effect.gen(function* () {
        const peer = yield* makePeer()
        const seen: Array<string> = []
        yield* Effect.fork(readSlowly(peer.transport, seen, 1))
        yield* settle
        yield* peer.receive("1", "2", "3")
        yield* peer.end
        let refusals = 0
        const writing = yield* peer.transport.write("?").pipe(
          Effect.tapError(() =>
            Effect.sync(() => {
              refusals += 1
            })
          ),
          Effect.retry({ until: () => peer.losses.length > 0 }),
          Effect.exit,
          Effect.fork
        )
        yield* TestClock.adjust(3)
        yield* Fiber.join(writing)
        expect(seen).toEqual(["1", "2", "3"])
        // As many as there were turns, and not as many as there is time for.
        expect(refusals).toBeLessThan(1000)
      })
    )
  })
}

describe("a stream that fails because of the loss ends nothing", () => {
  for (const steps of [0, 1, 10, 1000, 100_000]) {
    it.scoped(`with ${steps} steps between its failure and the loss`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: RetryPolicy.fromFunction(() => "1 second")
        })
        yield* service.start
        const seen: Array<string> = []
        const consumer = yield* ClientService.stream(service, (name) =>
          name === "a" ? Stream.fail("reset") : Stream.concat(Stream.make(name), Stream.never)
        ).pipe(
          Stream.runForEach((element) => Effect.sync(() => seen.push(element))),
          Effect.fork
        )
        const connection = yield* server.accept("a")
        yield* settle
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        yield* connection.drop()
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
        yield* server.accept("b")
        yield* settle
        expect([consumer.unsafePoll(), seen]).toEqual([null, ["b"]])
      })
    )
  }
})

const messages = ["0", "1", "2", "3"]
const heartbeat = { probe: () => Effect.never, interval: 150, timeout: 100 }
const asked = { heartbeat: { ...heartbeat, interval: Number.POSITIVE_INFINITY } }
type Service<E> = ClientService.ClientService<Transport.Transport, E>

/** What a service ends a connection for by itself, after 250 milliseconds. */
const ends = {
  "a heartbeat without an answer": { options: { heartbeat }, act: () => Effect.void },
  "a heartbeat that fails": {
    options: { heartbeat: { ...heartbeat, probe: () => Effect.delay(Effect.fail("no pong"), 100) } },
    act: () => Effect.void
  },
  "a check": { options: asked, act: <E>(service: Service<E>) => Effect.fork(Effect.delay(service.check(), 150)) }
}

const slowly = (seen: Array<string>) => (chunk: Uint8Array | string) =>
  Effect.delay(
    Effect.sync(() => {
      seen.push(typeof chunk === "string" ? chunk : text(chunk))
    }),
    100
  )

/** They take 100 milliseconds for each message. */
const readers: Record<
  "in a use" | "of a ClientService.stream" | "of the frames" | "of the events of an Exchange",
  <E>(service: Service<E>, seen: Array<string>) => Effect.Effect<unknown, unknown, Scope.Scope>
> = {
  "in a use": (service, seen) => service.use(({ incoming }) => Stream.runForEach(incoming, slowly(seen))),
  "of a ClientService.stream": (service, seen) =>
    Stream.runForEach(
      ClientService.stream(service, ({ incoming }) => incoming),
      slowly(seen)
    ),
  "of the frames": (service, seen) =>
    service.use((transport) => Stream.runForEach(Framing.lines().over(transport).frames, slowly(seen))),
  "of the events of an Exchange": (service, seen) =>
    service.use((transport) =>
      Effect.flatMap(Exchange.inOrder(Framing.lines().over(transport), { isEvent: () => true }), ({ events }) =>
        Stream.runForEach(events, slowly(seen))
      )
    )
}

for (const [name, makeEndpoint] of Object.entries(memoryEndpoints)) {
  for (const [reader, read] of Object.entries(readers)) {
    describe(`a slow reader ${reader} over ${name}`, () => {
      for (const [how, { act, options }] of Object.entries(ends)) {
        it.scoped(`has what has come before ${how}`, () =>
          Effect.gen(function* () {
            const { accept, endpoint } = yield* makeEndpoint()
            const service = yield* ClientService.make({ endpoint, ...options })
            const seen: Array<string> = []
            yield* service.start
            const peer = yield* accept
            yield* settle
            yield* Effect.fork(read(service, seen))
            yield* settle
            for (const message of messages) yield* peer.receive(`${message}\n`)
            yield* act(service)
            const next = yield* Effect.fork(accept)
            const pass = Effect.zipRight(TestClock.adjust(50), settle)
            yield* Effect.repeatN(pass, 6)
            expect((yield* service.state.get)._tag).toBe("Connected")
            yield* Effect.repeatN(pass, 2)
            expect(seen.map((message) => message.trim())).toEqual(messages)
            // A WebSocket is given a second to close.
            yield* TestClock.adjust("3 seconds")
            expect(Option.isSome(yield* Fiber.poll(next))).toBe(true)
            yield* Effect.fork(service.stop)
            yield* TestClock.adjust("10 seconds")
          })
        )
      }
    })
  }
}

describe("a slow reader in a use, of 4 messages", () => {
  for (const { act, how, options, seenOf } of [
    { how: "reconnect", options: {}, act: (service: Service<unknown>) => service.reconnect, seenOf: 2 },
    { how: "maxAge", options: { maxAge: 250 }, act: () => Effect.void, seenOf: 4 }
  ]) {
    it.scoped(`has ${seenOf} with ${how}`, () =>
      Effect.gen(function* () {
        const { accept, endpoint } = yield* memoryEndpoints["Endpoint.fromSocket"]()
        const service = yield* ClientService.make({ endpoint, ...options })
        const seen: Array<string> = []
        yield* service.start
        const peer = yield* accept
        yield* settle
        yield* Effect.fork(readers["in a use"](service, seen))
        yield* settle
        for (const message of messages) yield* peer.receive(message)
        yield* Effect.fork(Effect.delay(act(service), 250))
        yield* Effect.fork(accept)
        yield* Effect.repeatN(Effect.zipRight(TestClock.adjust(50), settle), 9)
        expect(seen).toEqual(messages.slice(0, seenOf))
      })
    )
  }
})
