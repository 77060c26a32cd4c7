import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Data, Effect, Exit, Fiber, Option, Stream, TestClock } from "effect"
import { ClientService, InvalidOption, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"

interface Feed {
  readonly name: string
  readonly numbers: Stream.Stream<number>
}

const feed = (name: string, ...numbers: ReadonlyArray<number>): Feed => ({
  name,
  numbers: Stream.concat(Stream.fromIterable(numbers), Stream.never)
})

class Feeds extends ClientService.Tag("test/Feeds")<Feeds, Feed, string>() {}

class Refusal extends Data.TaggedError("Refusal")<{ readonly cause: unknown }> {}

const withFeeds = <A, E, R>(test: (server: TestEndpoint.TestEndpoint<Feed, string>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(TestEndpoint.make<Feed, string>(), (server) =>
    Effect.provide(
      test(server),
      Feeds.layer({
        endpoint: server.endpoint,
        heartbeat: { probe: () => Effect.void, interval: "1 hour", timeout: "1 second" },
        retryPolicy: RetryPolicy.fromFunction(() => "1 minute")
      })
    )
  )

describe("the statics of a tag", () => {
  it.scoped("tell the state of the service, and start, stop and reconnect it", () =>
    withFeeds((server) =>
      Effect.gen(function* () {
        const tags: Array<string> = []
        yield* Feeds.state.changes.pipe(
          Stream.runForEach(({ _tag }) => Effect.sync(() => tags.push(_tag))),
          Effect.forkScoped
        )
        yield* settle
        yield* server.refuse("refused")
        yield* awaitState(yield* Feeds, "Waiting")
        yield* Feeds.reconnect
        yield* server.accept(feed("first"))
        yield* Feeds.whenConnected()
        expect(yield* Feeds.state.get).toMatchObject({ _tag: "Connected", protocol: { name: "first" } })
        expect(yield* Feeds.check()).toBe(true)
        yield* Feeds.stop
        yield* Feeds.start
        yield* settle
        expect(tags).toEqual([
          "Connecting",
          "Waiting",
          "Connecting",
          "Connected",
          "Disconnecting",
          "Stopped",
          "Connecting"
        ])
      })
    )
  )

  it.scoped("wait for a connection, and hear of failures only if they are told after how many", () =>
    withFeeds((server) =>
      Effect.gen(function* () {
        const patient: Array<Fiber.Fiber<Feed, unknown>> = []
        for (const options of [undefined, {}, { failAfterFailures: undefined }]) {
          patient.push(yield* Effect.fork(Feeds.whenConnected(options)))
        }
        const impatient = yield* Effect.fork(Feeds.whenConnected({ failAfterFailures: 1 }))
        yield* settle
        yield* server.refuse("refused")
        expect(yield* Fiber.await(impatient)).toEqual(Exit.fail("refused"))
        yield* TestClock.adjust("1 minute")
        yield* server.accept(feed("first"))
        for (const waiter of patient) expect(yield* Fiber.join(waiter)).toMatchObject({ name: "first" })
      })
    )
  )

  it.scoped("use the protocol, waiting for it as long as maxWait has it", () =>
    withFeeds((server) =>
      Effect.gen(function* () {
        const using = yield* Effect.fork(Effect.exit(Feeds.use(({ name }) => Effect.succeed(name), { maxWait: 2000 })))
        yield* settle
        yield* TestClock.adjust("2 seconds")
        expect(yield* Fiber.join(using)).toMatchObject({
          cause: { error: { _tag: "NotConnected", service: "test", state: { _tag: "Connecting", attempt: 1 } } }
        })
        yield* server.accept(feed("first"))
        for (const options of [undefined, {}, { maxWait: undefined }, { maxWait: "2 seconds" } as const]) {
          expect(yield* Feeds.use(({ name }) => Effect.succeed(name), options)).toBe("first")
        }
      })
    )
  )

  it.scoped("use the protocol by a promise, in both forms", () =>
    withFeeds((server) =>
      Effect.gen(function* () {
        yield* server.accept(feed("first"))
        expect(yield* Feeds.usePromise(({ name }) => Promise.resolve(name))).toBe("first")
        const rejected = () => Promise.reject("no")
        expect(yield* Effect.flip(Feeds.usePromise(rejected))).toEqual(new Cause.UnknownException("no"))
        const refused = Feeds.usePromise({ try: rejected, catch: (cause) => new Refusal({ cause }) }, { maxWait: 0 })
        expect(yield* Effect.flip(refused)).toEqual(new Refusal({ cause: "no" }))
      })
    )
  )

  it.scoped("give a stream across connections", () =>
    withFeeds((server) =>
      Effect.gen(function* () {
        const collecting = yield* Feeds.stream(({ numbers }) => numbers, { gap: ({ name }) => name }).pipe(
          Stream.take(4),
          Stream.runCollect,
          Effect.fork
        )
        const first = yield* server.accept(feed("first", 1, 2))
        yield* Feeds.whenConnected()
        yield* settle
        yield* first.drop()
        yield* awaitState(yield* Feeds, "Waiting")
        yield* TestClock.adjust("1 minute")
        yield* server.accept(feed("second", 3))
        expect(Chunk.toReadonlyArray(yield* Fiber.join(collecting))).toEqual([1, 2, "second", 3])
      })
    )
  )

  it.scoped("refuse a maxWait that makes no sense", () =>
    withFeeds(() =>
      Effect.gen(function* () {
        const service = yield* Feeds
        expect(() => service.use(() => Effect.void, { maxWait: -1 })).toThrow(InvalidOption.InvalidOption)
        expect(() => service.use(() => Effect.void, { maxWait: -1 })).toThrow("use: maxWait must be")
      })
    )
  )
})

describe("stream and reconnectOn", () => {
  it.scoped("take the service last too", () =>
    withFeeds((server) =>
      Effect.gen(function* () {
        const service = yield* Feeds
        yield* server.accept(feed("first", 1))
        const numbers = service.pipe(ClientService.stream(({ numbers }) => numbers))
        expect(yield* Stream.runHead(numbers)).toEqual(Option.some(1))
        const gapped = service.pipe(ClientService.stream(({ numbers }) => numbers, { gap: () => "gap" }))
        expect(yield* Stream.runHead(gapped)).toEqual(Option.some(1))
        yield* service.pipe(ClientService.reconnectOn(Stream.make("online")))
        yield* server.accept(feed("second", 2))
        expect(yield* Stream.runHead(numbers)).toEqual(Option.some(2))
      })
    )
  )
})
