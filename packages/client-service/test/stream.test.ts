import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Duration, Effect, Exit, Fiber, Queue, Schedule, Stream, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

/** A peer that pushes elements to whoever is subscribed. */
interface Feed {
  readonly name: string
  readonly elements: Queue.Queue<number | "end">
}

const makeFeed = (name: string): Effect.Effect<Feed> =>
  Effect.map(Queue.unbounded<number | "end">(), (elements) => ({ name, elements }))

const push = ({ elements }: Feed, ...pushed: ReadonlyArray<number | "end">) => Queue.offerAll(elements, pushed)

/** A started service of feeds, and the log of what is subscribed to, and no more. */
const make = (
  options: {
    readonly drainTimeout?: Duration.DurationInput
    readonly maxAge?: Duration.DurationInput
    readonly retryPolicy?: typeof everySecond
  } = {}
) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<Feed, string>()
    const log: Array<string> = []
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      retryPolicy: everySecond,
      connectTimeout: Duration.infinity,
      ...options
    })
    yield* service.start
    const subscribe = ({ elements, name }: Feed) =>
      Stream.fromQueue(elements, { maxChunkSize: 1 }).pipe(
        Stream.takeWhile((element) => element !== "end"),
        Stream.onStart(Effect.sync(() => log.push(`${name} begins`))),
        Stream.ensuring(Effect.sync(() => log.push(`${name} ends`)))
      )
    const connect = (name: string) =>
      Effect.gen(function* () {
        const feed = yield* makeFeed(name)
        const connection = yield* server.accept(feed)
        yield* settle
        return { connection, feed }
      })
    const reconnect = (connection: TestEndpoint.TestConnection<string>, name: string) =>
      Effect.gen(function* () {
        yield* connection.drop()
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
        return yield* connect(name)
      })
    return { connect, log, reconnect, server, service, subscribe }
  })

/** Runs a stream, and keeps what it gives. */
const collect = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function* () {
    const seen: Array<A> = []
    const fiber = yield* Effect.fork(Stream.runForEach(stream, (element) => Effect.sync(() => seen.push(element))))
    yield* settle
    return { fiber, seen }
  })

// As sockets do: they tell of their end in one phase of the event loop, and of their loss in the next.
const eventOfSocket = Effect.async<void>((resume) => void setTimeout(() => resume(Effect.void)))
const nextTurn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

describe("stream", () => {
  it.scoped("goes on across connections, and subscribes once on each", () =>
    Effect.gen(function* () {
      const { connect, log, reconnect, service, subscribe } = yield* make()
      const { seen } = yield* collect(ClientService.stream(service, subscribe))
      const a = yield* connect("a")
      yield* push(a.feed, 1, 2)
      yield* settle
      const b = yield* reconnect(a.connection, "b")
      yield* push(b.feed, 3)
      yield* settle
      const c = yield* reconnect(b.connection, "c")
      yield* push(c.feed, 4)
      yield* settle
      expect(seen).toEqual([1, 2, 3, 4])
      expect(log).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins"])
    })
  )

  it.scoped("finalizes the old subscription before the next begins, however long that takes", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { connect, log, reconnect, service, subscribe } = yield* make()
      yield* collect(ClientService.stream(service, (feed) => Stream.ensuring(subscribe(feed), Deferred.await(gate))))
      const { connection } = yield* connect("a")
      yield* reconnect(connection, "b")
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Connected")
      expect(log).toEqual(["a begins", "a ends"])
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect(log).toEqual(["a begins", "a ends", "b begins"])
    })
  )

  it.scoped("tells of the gap before the first element of every connection but the first", () =>
    Effect.gen(function* () {
      const { connect, reconnect, service, subscribe } = yield* make()
      const { seen } = yield* collect(
        ClientService.stream(service, subscribe, { gap: ({ name }) => `gap before ${name}` })
      )
      const a = yield* connect("a")
      yield* push(a.feed, 1, 2)
      yield* settle
      const b = yield* reconnect(a.connection, "b")
      yield* push(b.feed, 3)
      yield* settle
      const c = yield* reconnect(b.connection, "c")
      yield* push(c.feed, 4)
      yield* settle
      expect(seen).toEqual([1, 2, "gap before b", 3, "gap before c", 4])
    })
  )

  it.scoped("without gap, gives the elements alone", () =>
    Effect.gen(function* () {
      const { connect, reconnect, service, subscribe } = yield* make()
      const { seen } = yield* collect(ClientService.stream(service, subscribe, { gap: undefined }))
      const a = yield* connect("a")
      const b = yield* reconnect(a.connection, "b")
      yield* push(b.feed, 1)
      yield* settle
      expect(seen).toEqual([1])
    })
  )

  describe("an inner stream that", () => {
    const breaks: Record<string, Stream.Stream<never, string>> = {
      "fails because the connection is lost": Stream.fail("reset"),
      "dies because the connection is lost": Stream.die("reset"),
      "ends because the connection is lost": Stream.empty
    }
    for (const [what, broken] of Object.entries(breaks)) {
      for (const order of ["before", "after"]) {
        it.scoped(`${what}, just ${order} that is known, does not end the stream`, () =>
          Effect.gen(function* () {
            const { connect, service, subscribe } = yield* make()
            const breaking = yield* Deferred.make<void>()
            const { fiber, seen } = yield* collect(
              ClientService.stream(service, (feed) =>
                feed.name === "a" ? Stream.unwrap(Effect.as(Deferred.await(breaking), broken)) : subscribe(feed)
              )
            )
            const { connection } = yield* connect("a")
            if (order === "after") yield* connection.drop()
            yield* Effect.zipRight(eventOfSocket, Deferred.succeed(breaking, undefined))
            if (order === "before") yield* Effect.zipRight(nextTurn, connection.drop())
            yield* awaitState(service, "Waiting")
            yield* TestClock.adjust("1 second")
            const { feed } = yield* connect("b")
            yield* push(feed, 1)
            yield* settle
            expect(fiber.unsafePoll()).toBeNull()
            expect(seen).toEqual([1])
          })
        )
      }
    }

    it.scoped("ends on a connection that is up is begun anew on the next one alone", () =>
      Effect.gen(function* () {
        const { connect, log, reconnect, service, subscribe } = yield* make()
        const { fiber, seen } = yield* collect(ClientService.stream(service, subscribe))
        const a = yield* connect("a")
        yield* push(a.feed, "end")
        yield* settle
        yield* TestClock.adjust("1 hour")
        expect(log).toEqual(["a begins", "a ends"])
        expect(fiber.unsafePoll()).toBeNull()
        const b = yield* reconnect(a.connection, "b")
        yield* push(b.feed, 1)
        yield* settle
        expect(seen).toEqual([1])
      })
    )

    for (const [what, failure] of [
      ["fails", Cause.fail("unknown topic")],
      ["dies", Cause.die("boom")]
    ] as const) {
      it.scoped(`${what} on a connection that is up ends the stream with that`, () =>
        Effect.gen(function* () {
          const { connect, log, service, subscribe } = yield* make()
          const { fiber, seen } = yield* collect(
            ClientService.stream(service, (feed) =>
              Stream.concat(Stream.take(subscribe(feed), 1), Stream.failCause(failure))
            )
          )
          const { feed } = yield* connect("a")
          yield* push(feed, 1)
          // So long it may be that the connection is lost, and that it failed for that.
          yield* TestClock.adjust("999 millis")
          expect(fiber.unsafePoll()).toBeNull()
          yield* TestClock.adjust("1 millis")
          expect(yield* Fiber.await(fiber)).toEqual(Exit.failCause(failure))
          expect(seen).toEqual([1])
          expect(log).toEqual(["a begins", "a ends"])
          expect((yield* service.state.get)._tag).toBe("Connected")
        })
      )
    }
  })

  for (const [what, use] of [
    [
      "the function",
      (service: ClientService.ClientService<Feed, string>) =>
        ClientService.stream(service, (): Stream.Stream<number> => {
          throw "thrown"
        })
    ],
    [
      "gap",
      (service: ClientService.ClientService<Feed, string>) =>
        ClientService.stream(service, () => Stream.never, {
          gap: () => {
            throw "thrown"
          }
        })
    ]
  ] as const) {
    it.scoped(`${what} that throws ends the stream with that defect`, () =>
      Effect.gen(function* () {
        const { connect, reconnect, service } = yield* make()
        const { fiber } = yield* collect(use(service))
        const { connection } = yield* connect("a")
        yield* reconnect(connection, "b")
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.await(fiber)).toEqual(Exit.die("thrown"))
      })
    )
  }

  it.scoped(
    "gives the elements of a connection that were there before its loss, and then ends with ServiceStopped",
    () =>
      Effect.gen(function* () {
        const { connect, log, service, subscribe } = yield* make()
        const { fiber, seen } = yield* collect(ClientService.stream(service, subscribe))
        const { feed } = yield* connect("a")
        yield* push(feed, 1, 2)
        yield* settle
        yield* service.stop
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "ServiceStopped" })
        expect(seen).toEqual([1, 2])
        expect(log).toEqual(["a begins", "a ends"])
      })
  )

  it.scoped("ends with RetriesExhausted when the service gives up", () =>
    Effect.gen(function* () {
      const { connect, service, subscribe } = yield* make({ retryPolicy: Schedule.stop })
      const { fiber } = yield* collect(ClientService.stream(service, subscribe))
      const { connection } = yield* connect("a")
      yield* connection.drop("dropped")
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
        _tag: "RetriesExhausted",
        failures: 1,
        cause: Cause.fail("dropped")
      })
    })
  )

  it.scoped("bounds what is kept for a consumer that is slow, on one connection and across many", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { connect, reconnect, service } = yield* make()
      let produced = 0
      const endless = Stream.repeatEffectChunk(
        Effect.sync(() => {
          produced += 1
          return Chunk.of(produced)
        })
      )
      const seen: Array<number | string> = []
      yield* ClientService.stream(service, () => endless, { gap: () => "gap" }).pipe(
        Stream.runForEach((element) =>
          Effect.zipRight(
            Effect.sync(() => seen.push(element)),
            Deferred.await(gate)
          )
        ),
        Effect.forkScoped
      )
      let { connection } = yield* connect("a")
      for (let round = 0; round < 20; round++) {
        connection = (yield* reconnect(connection, "b")).connection
        yield* settle
      }
      expect(seen).toHaveLength(1)
      // The first of each connection, as long as there is room for that and the gap before.
      expect(produced).toBe(1 + 8)
    })
  )

  it.scoped("interrupting the consumer interrupts the subscription, and leaves nothing", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { connect, log, service, subscribe } = yield* make()
        const { fiber } = yield* collect(ClientService.stream(service, subscribe))
        yield* connect("a")
        yield* Fiber.interrupt(fiber)
        expect(log).toEqual(["a begins", "a ends"])
        expect(timers.pending()).toBe(0)
        // Nobody uses the connection any more, so that it could be replaced at once.
        expect(yield* service.use(() => Effect.succeed("done"))).toBe("done")
        expect((yield* service.state.get)._tag).toBe("Connected")
      })
    )
  )

  it.scoped("interrupting the consumer also ends a subscription that waits for room", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* make()
      let ended = false
      const endless = Stream.ensuring(
        Stream.repeatValue(1).pipe(Stream.rechunk(1)),
        Effect.sync(() => {
          ended = true
        })
      )
      const fiber = yield* Effect.fork(
        Stream.runForEach(
          ClientService.stream(service, () => endless),
          () => Effect.never
        )
      )
      yield* connect("a")
      yield* settle
      yield* Fiber.interrupt(fiber)
      expect(ended).toBe(true)
    })
  )

  it.scoped("ends early when the consumer has enough, and closes the subscription", () =>
    Effect.gen(function* () {
      const { connect, log, service, subscribe } = yield* make()
      const { fiber, seen } = yield* collect(Stream.take(ClientService.stream(service, subscribe), 2))
      const { feed } = yield* connect("a")
      yield* push(feed, 1, 2, 3)
      yield* Fiber.join(fiber)
      expect(seen).toEqual([1, 2])
      expect(log).toEqual(["a begins", "a ends"])
    })
  )

  it.scoped("takes no more of a connection than its consumer, so that another goes on where that has stopped", () =>
    Effect.gen(function* () {
      const { connect, service, subscribe } = yield* make()
      const stream = ClientService.stream(service, subscribe)
      const { feed } = yield* connect("a")
      yield* push(feed, ...Chunk.range(1, 30))
      const first = yield* Stream.runCollect(Stream.take(stream, 3))
      const seen: Array<number | "end"> = []
      const slow = Stream.runForEach(stream, (element) =>
        Effect.delay(
          Effect.sync(() => seen.push(element)),
          "1 second"
        )
      )
      const second = yield* Effect.fork(slow)
      yield* settle
      for (let second = 1; second <= 10; second++) yield* TestClock.adjust("1 second")
      yield* settle
      // It is at its eleventh.
      yield* Fiber.interrupt(second)
      const third = yield* collect(stream)
      expect([...first, ...seen, ...third.seen]).toEqual([...Chunk.range(1, 13), ...Chunk.range(15, 30)])
    })
  )

  // Kind 1
  it.scoped("keeps what comes while its consumer gives up waiting for the next pull", () =>
    Effect.gen(function* () {
      for (let yields = 0; yields < 12; yields++) {
        const { connect, service, subscribe } = yield* make()
        const pull = yield* Stream.toPull(ClientService.stream(service, subscribe))
        const { feed } = yield* connect("a")
        const first = yield* Effect.fork(Effect.exit(pull))
        yield* settle
        yield* push(feed, 1)
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        yield* Fiber.interrupt(first)
        yield* push(feed, 2)
        const taken = first.unsafePoll()
        const isTaken = taken !== null && Exit.isSuccess(taken) && Exit.isSuccess(taken.value)
        expect(yield* pull, `${yields} yields`).toEqual(Chunk.of(isTaken ? 2 : 1))
      }
    })
  )

  // Kind 1
  it.scoped("keeps the first element of every connection for a consumer that is slow", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { connect, reconnect, service, subscribe } = yield* make()
      const seen: Array<number | "end"> = []
      yield* ClientService.stream(service, subscribe).pipe(
        Stream.runForEach((element) =>
          Effect.andThen(
            Effect.sync(() => seen.push(element)),
            Deferred.await(gate)
          )
        ),
        Effect.forkScoped
      )
      const feeds: Array<Feed> = []
      let { connection, feed } = yield* connect("a")
      for (let round = 1; round <= 20; round++) {
        feeds.push(feed)
        yield* push(feed, round)
        yield* settle
        ;({ connection, feed } = yield* reconnect(connection, "b"))
      }
      const left = (yield* Effect.forEach(feeds, ({ elements }) => Queue.takeAll(elements))).flatMap(Chunk.toArray)
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      // What no subscription has taken is still with the peer.
      expect([...seen, ...left]).toEqual(Array.from({ length: 20 }, (_, round) => round + 1))
      expect(left.length).toBeGreaterThan(0)
    })
  )

  it.scoped("is a subscription of its own for each consumer", () =>
    Effect.gen(function* () {
      const { connect, log, service, subscribe } = yield* make()
      const stream = ClientService.stream(service, subscribe)
      yield* collect(stream)
      const second = yield* collect(stream)
      yield* connect("a")
      expect(log).toEqual(["a begins", "a begins"])
      yield* Fiber.interrupt(second.fiber)
      expect(log).toEqual(["a begins", "a begins", "a ends"])
    })
  )

  for (const backlog of ["read", "unread"]) {
    it.scoped(`changes over at once when the connection is replaced for its age, its elements ${backlog}`, () =>
      Effect.gen(function* () {
        const { connect, log, service, subscribe } = yield* make({ maxAge: "1 hour" })
        const { seen } = yield* collect(ClientService.stream(service, subscribe, { gap: () => "gap" }))
        const a = yield* connect("a")
        yield* push(a.feed, 1)
        if (backlog === "read") yield* settle
        yield* TestClock.adjust("1 hour")
        expect(log).toEqual(["a begins"])
        const b = yield* connect("b")
        expect(log).toEqual(["a begins", "a ends", "b begins"])
        expect(yield* a.connection.closed).toBe(true)
        yield* push(b.feed, 2)
        yield* settle
        expect(seen).toEqual([1, "gap", 2])
        expect(yield* service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
      })
    )
  }

  for (const [what, end] of [
    ["is replaced for its age", TestClock.adjust("1 hour")],
    ["drains", undefined]
  ] as const) {
    it.scoped(`lets go of a connection that ${what} while the gap waits for room`, () =>
      Effect.gen(function* () {
        const { connect, reconnect, service } = yield* make({ drainTimeout: "1 minute", maxAge: "1 hour" })
        const numbers = Stream.rechunk(Stream.range(1, 100), 1)
        yield* ClientService.stream(service, () => numbers, { gap: () => "gap" }).pipe(
          Stream.runForEach(() => Effect.never),
          Effect.forkScoped
        )
        const first = yield* connect("a")
        const { connection } = yield* reconnect(first.connection, "b")
        yield* end ?? Effect.fork(service.stop)
        yield* end === undefined ? settle : connect("c")
        expect(yield* connection.closed).toBe(true)
      })
    )
  }

  it.scoped("changes over although the inner stream of the old connection has ended", () =>
    Effect.gen(function* () {
      const { connect, log, service, subscribe } = yield* make({ maxAge: "1 hour" })
      yield* collect(ClientService.stream(service, subscribe))
      const a = yield* connect("a")
      yield* push(a.feed, "end")
      yield* TestClock.adjust("1 hour")
      yield* connect("b")
      expect(log).toEqual(["a begins", "a ends", "b begins"])
      expect(yield* a.connection.closed).toBe(true)
    })
  )

  it.scoped("changes over when the service is made to reconnect", () =>
    Effect.gen(function* () {
      const { connect, log, service, subscribe } = yield* make()
      const { seen } = yield* collect(ClientService.stream(service, subscribe, { gap: () => "gap" }))
      yield* connect("a")
      yield* service.reconnect
      const b = yield* connect("b")
      yield* push(b.feed, 1)
      yield* settle
      expect(seen).toEqual(["gap", 1])
      expect(log).toEqual(["a begins", "a ends", "b begins"])
    })
  )
})
