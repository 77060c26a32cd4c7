/**
 * The recipes: that the failing program of each fails as its page says, and the mended one does not.
 */
import { Socket } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  Clock,
  Effect,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Queue,
  Random,
  Ref,
  type Scope,
  Stream,
  TestClock
} from "effect"
import { Endpoint, TestEndpoint } from "effect-client-service"
import * as Away from "../recipes/away-503/failing.js"
import * as AwayMended from "../recipes/away-503/mended.js"
import * as HalfOpen from "../recipes/half-open/failing.js"
import * as HalfOpenMended from "../recipes/half-open/mended.js"
import * as Hangs from "../recipes/hangs-on-shutdown/failing.js"
import * as HangsMended from "../recipes/hangs-on-shutdown/mended.js"
import * as Herd from "../recipes/herd-after-deploy/failing.js"
import * as HerdMended from "../recipes/herd-after-deploy/mended.js"
import * as Login from "../recipes/login-refused/failing.js"
import * as LoginMended from "../recipes/login-refused/mended.js"
import * as Slow from "../recipes/slow-reader/failing.js"
import * as SlowMended from "../recipes/slow-reader/mended.js"
import * as Gone from "../recipes/subscription-gone/failing.js"
import * as GoneMended from "../recipes/subscription-gone/mended.js"
import * as Two from "../recipes/two-connections/failing.js"
import * as TwoMended from "../recipes/two-connections/mended.js"
import { connectTo, type Lost, Refused } from "../support/connect.js"
import * as FastTime from "./fastTime.js"

const silent = { ask: () => Effect.never }
const answering = { ask: (question: string) => Effect.succeed(`${question}!`) }

describe("two connections after a reconnect", () => {
  // One connection is lost while two questions are under way. How many are open a while later?
  const after = <E>(
    program: (
      server: TestEndpoint.TestEndpoint<Two.Peer, Refused>
    ) => Effect.Effect<{ readonly ask: (question: string) => Effect.Effect<string, E> }, Refused, Scope.Scope>
  ) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Two.Peer, Refused>()
      const started = yield* Effect.fork(program(server))
      const connection = yield* server.accept(silent)
      const { ask } = yield* Fiber.join(started)
      const questions = yield* Effect.forkAll([Effect.either(ask("one")), Effect.either(ask("two"))])
      yield* server.up(answering)
      yield* TestClock.adjust("1 second")
      yield* connection.drop()
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.join(questions)).map(({ _tag }) => _tag)).toEqual(["Left", "Left"])
      // That which was dropped is not there any more.
      return (yield* server.opens) - 1
    })

  it.scoped("failing: there are three", () =>
    Effect.gen(function* () {
      expect(yield* after((server) => Two.failing(connectTo(server.endpoint)))).toBe(3)
    })
  )

  it.scoped("mended: there is one", () =>
    Effect.gen(function* () {
      expect(yield* after((server) => TwoMended.mended(server.endpoint))).toBe(1)
    })
  )
})

describe("hangs on shutdown", () => {
  // As `NodeRuntime.runMain` does at SIGTERM.
  const shutDown = (main: Layer.Layer<never>, before: Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      const program = yield* Effect.forkDaemon(Layer.launch(main))
      yield* before
      yield* Fiber.interruptFork(program)
      return program
    })

  it.effect("failing: it has not ended a day later", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, Refused>()
      const program = yield* shutDown(Hangs.failing(connectTo(server.endpoint)), server.accept("hello"))
      yield* TestClock.adjust("1 day")
      expect(program.unsafePoll()).toBeNull()
    })
  )

  it.effect("mended: it ends at once, and in 5 seconds if the peer does not say goodbye", () =>
    Effect.gen(function* () {
      const ended = (close: Effect.Effect<void> | "no connection yet", seconds: number) =>
        Effect.gen(function* () {
          const server = yield* TestEndpoint.make<string, Refused>()
          const begun = close === "no connection yet" ? Effect.yieldNow() : server.accept("hello", { close })
          const program = yield* shutDown(Layer.discard(HangsMended.mended(server.endpoint)), begun)
          yield* TestClock.adjust(`${seconds} seconds`)
          return program.unsafePoll() !== null
        })
      expect(yield* ended("no connection yet", 0)).toBe(true)
      expect(yield* ended(Effect.void, 0)).toBe(true)
      expect(yield* ended(Effect.never, 4)).toBe(false)
      expect(yield* ended(Effect.never, 5)).toBe(true)
    })
  )
})

describe("the herd after a deploy", () => {
  const clients = 100
  const outage = 20_000

  // All clients have lost the server at 0. How many come to it within the worst second after it is back?
  const worstSecond = (
    program: (endpoint: Endpoint.Endpoint<string, Refused>) => Effect.Effect<unknown, Refused | Lost, Scope.Scope>
  ) => {
    const time = FastTime.make()
    const attempts: Array<number> = []
    const endpoint = Endpoint.make({
      name: "server",
      connect: () =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (now < outage) return new Refused()
          attempts.push(now)
          return Effect.succeed("hello")
        })
    })
    const client = Effect.zipRight(program(endpoint), Effect.never).pipe(Effect.scoped)
    time.begin(
      Effect.forEach(Array.from({ length: clients }), () => client, { concurrency: "unbounded" }).pipe(
        Effect.withRandom(Random.make("herd")),
        Logger.withMinimumLogLevel(LogLevel.None)
      )
    )
    time.pass(60_000)
    expect(attempts.length).toBe(clients)
    return Math.max(...attempts.map((from) => attempts.filter((at) => at >= from && at < from + 1_000).length))
  }

  it("failing: all come in the same second", () => {
    expect(worstSecond((endpoint) => Herd.failing(connectTo(endpoint)))).toBe(clients)
  })

  it("mended: a fifth at most comes in one second", () => {
    expect(worstSecond(HerdMended.mended)).toBeLessThanOrEqual(clients / 5)
  })
})

describe("half-open for 15 minutes", () => {
  it.scoped("failing: the question hangs, and the connection is kept", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<HalfOpen.Peer, Refused>()
      const { ask } = yield* HalfOpen.failing(connectTo(server.endpoint))
      yield* server.accept(silent)
      yield* server.up(answering)
      const question = yield* Effect.fork(ask("who"))
      yield* TestClock.adjust("15 minutes")
      expect(question.unsafePoll()).toBeNull()
      expect(yield* server.opens).toBe(1)
    })
  )

  it.scoped("mended: it is noticed in 20 seconds, and the next question answered", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<HalfOpen.Peer, Refused>()
      const { ask } = yield* HalfOpenMended.mended(server.endpoint)
      yield* server.accept(silent)
      yield* server.up(answering)
      const question = yield* Effect.fork(Effect.flip(ask("who")))
      yield* TestClock.adjust("20 seconds")
      expect(yield* Fiber.join(question)).toMatchObject({ _tag: "ConnectionLost" })
      yield* TestClock.adjust("1 second")
      expect(yield* ask("who")).toBe("who!")
    })
  )
})

describe("503 while it is away", () => {
  const greeting = { greet: Effect.succeed("hello") }

  it.scoped("failing: an outage of a tenth of a second costs a request", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Away.Peer, Refused>()
      const { handler } = yield* Away.failing(connectTo(server.endpoint))
      const connection = yield* server.accept(greeting)
      yield* TestClock.adjust("1 minute")
      expect((yield* handler).status).toBe(200)
      yield* server.up(greeting)
      yield* connection.drop()
      yield* TestClock.adjust("99 millis")
      expect((yield* handler).status).toBe(503)
      yield* TestClock.adjust("1 milli")
      expect((yield* handler).status).toBe(200)
    })
  )

  it.scoped("mended: it is waited for; and if that takes longer than 2 seconds, the request is told so", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Away.Peer, Refused>()
      const { handler } = yield* AwayMended.mended(server.endpoint)
      const connection = yield* server.accept(greeting)
      yield* TestClock.adjust("1 minute")
      yield* connection.drop()
      const short = yield* Effect.fork(handler)
      yield* TestClock.adjust("500 millis")
      const next = yield* server.accept(greeting)
      expect((yield* Fiber.join(short)).status).toBe(200)

      yield* TestClock.adjust("1 minute")
      yield* server.down(new Refused())
      yield* next.drop()
      const long = yield* Effect.fork(handler)
      yield* TestClock.adjust("1999 millis")
      expect(long.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 milli")
      expect((yield* Fiber.join(long)).status).toBe(503)
    })
  )
})

describe("login refused for ever", () => {
  const peerOf = (password: string): Login.Peer => ({
    login: (given) => (given === password ? Effect.void : new Login.WrongPassword())
  })

  it("failing: it tries 600 times in ten minutes, and who waits is told nothing", () => {
    const time = FastTime.make()
    const attempts: Array<string> = []
    const endpoint = Endpoint.make({
      name: "server",
      connect: () =>
        Effect.succeed({
          login: (given: string) =>
            Effect.suspend(() => {
              attempts.push(given)
              return peerOf("sesame").login(given)
            })
        })
    })
    let told: unknown
    time.begin(
      Login.failing(connectTo(endpoint), Effect.succeed("barley")).pipe(
        Effect.flatMap(({ connected }) => connected),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            told = exit
          })
        ),
        Effect.scoped
      )
    )
    time.pass(600_000)
    expect(attempts.length).toBeGreaterThanOrEqual(600)
    expect(told).toBe(undefined)
  })

  it.scoped("mended: it tries once, and again when the password has changed", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Login.Peer, Refused>()
      const password = yield* Ref.make("barley")
      yield* server.up(peerOf("sesame"))
      const { connected, passwordChanged } = yield* LoginMended.mended(server.endpoint, Ref.get(password))
      const error = yield* Effect.flip(connected)
      expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
      expect(error.message).toContain("WrongPassword")
      yield* TestClock.adjust("1 hour")
      expect(yield* server.attempts).toBe(1)

      yield* Ref.set(password, "sesame")
      yield* passwordChanged
      yield* connected
      expect(yield* server.attempts).toBe(2)
    })
  )
})

describe("the subscription is gone after a reconnect", () => {
  // Each connection has a queue of its own, which says nothing more once the next one is there.
  const heard = (
    program: (
      server: TestEndpoint.TestEndpoint<Gone.Peer, Refused>
    ) => Effect.Effect<Stream.Stream<string, unknown>, never, Scope.Scope>
  ) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Gone.Peer, Refused>()
      const said: Array<string> = []
      const subscribed = yield* Queue.unbounded<Queue.Queue<string>>()
      const peer: Gone.Peer = {
        subscribe: () =>
          Stream.unwrap(
            Effect.tap(Queue.unbounded<string>(), (news) => Queue.offer(subscribed, news)).pipe(
              Effect.map((news) => Stream.fromQueue(news))
            )
          )
      }
      const news = yield* program(server)
      yield* Effect.fork(Stream.runForEach(news, (text) => Effect.sync(() => said.push(text))))
      const connection = yield* server.accept(peer)
      yield* Queue.offer(yield* Queue.take(subscribed), "one")
      yield* TestClock.adjust("1 minute")
      yield* connection.drop()
      yield* server.up(peer)
      yield* TestClock.adjust("1 minute")
      expect(yield* server.opens).toBe(2)
      for (const next of yield* Queue.takeAll(subscribed)) yield* Queue.offer(next, "two")
      yield* TestClock.adjust("1 minute")
      return said
    })

  it.scoped("failing: nothing more is heard, on a connection that is up", () =>
    Effect.gen(function* () {
      expect(yield* heard((server) => Gone.failing(connectTo(server.endpoint)))).toEqual(["one"])
    })
  )

  it.scoped("mended: it goes on, and says where something may be missing", () =>
    Effect.gen(function* () {
      const said = yield* heard((server) => GoneMended.mended(server.endpoint))
      expect(said).toEqual(["one", "may have missed some", "two"])
    })
  )
})

describe("what a slow reader had not read is lost", () => {
  // The first connection sends three lines and closes, the second one sends a fourth and stays.
  const handled = (
    program: (
      socket: Socket.Socket,
      handle: (line: string) => Effect.Effect<void>
    ) => Effect.Effect<unknown, unknown, Scope.Scope>
  ) =>
    Effect.gen(function* () {
      let connections = 0
      const socket = yield* Socket.fromTransformStream(
        Effect.sync(() => {
          connections += 1
          const isFirst = connections === 1
          const lines = isFirst ? ["one\n", "two\n", "three\n"] : ["four\n"]
          return {
            readable: new ReadableStream<Uint8Array>({
              start: (controller) => {
                for (const line of lines) controller.enqueue(new TextEncoder().encode(line))
                if (isFirst) controller.close()
              }
            }),
            writable: new WritableStream<Uint8Array>()
          }
        })
      )
      const lines: Array<string> = []
      yield* Effect.fork(
        program(socket, (line) =>
          Effect.delay(
            Effect.sync(() => void lines.push(line)),
            "500 millis"
          )
        )
      )
      while (!lines.includes("four")) {
        // What the streams of the platform do takes turns of the event loop.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("100 millis")
      }
      return lines
    })

  it.scoped("failing: all three lines are lost", () =>
    Effect.gen(function* () {
      expect(yield* handled(Slow.failing)).toEqual(["four"])
    })
  )

  it.scoped("mended: none is", () =>
    Effect.gen(function* () {
      expect(yield* handled(SlowMended.mended)).toEqual(["one", "two", "three", "four"])
    })
  )
})
