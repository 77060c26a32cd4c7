import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Scope, TestClock } from "effect"
import { ClientService, type Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

/** An attempt to connect in a Scope of its own, which the test closes as a service would. */
const attempt = (server: TestEndpoint.TestEndpoint<string, string>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const losses: Array<string | undefined> = []
    const signal: Endpoint.ConnectionSignal<string> = { lost: (error) => losses.push(error) }
    const fiber = yield* Effect.fork(Scope.extend(server.endpoint.connect(signal), scope))
    yield* settle
    return { fiber, losses, close: Scope.close(scope, Exit.void) }
  })

const counts = (server: TestEndpoint.TestEndpoint<string, string>) =>
  Effect.all({ attempts: server.attempts, opens: server.opens, closes: server.closes })

const make = TestEndpoint.make<string, string>()

describe("accept", () => {
  it.effect("accepts the attempt under way", () =>
    Effect.gen(function* () {
      const server = yield* make
      const { fiber } = yield* attempt(server)
      expect(fiber.unsafePoll()).toBeNull()
      yield* server.accept("first")
      expect(yield* Fiber.join(fiber)).toBe("first")
    })
  )

  it.effect("waits for the next attempt if none is under way", () =>
    Effect.gen(function* () {
      const server = yield* make
      const accepting = yield* Effect.fork(server.accept("first"))
      yield* settle
      expect(accepting.unsafePoll()).toBeNull()
      const { fiber } = yield* attempt(server)
      const connection = yield* Fiber.join(accepting)
      expect(yield* connection.closed).toBe(false)
      expect(yield* Fiber.join(fiber)).toBe("first")
    })
  )

  it.effect("interrupted, leaves no answer behind", () =>
    Effect.gen(function* () {
      const server = yield* make
      const accepting = yield* Effect.fork(server.accept("withdrawn"))
      const refusing = yield* Effect.fork(server.refuse("withdrawn"))
      yield* settle
      yield* Fiber.interrupt(accepting)
      yield* Fiber.interrupt(refusing)
      const { fiber } = yield* attempt(server)
      expect(fiber.unsafePoll()).toBeNull()
      yield* server.accept("first")
      expect(yield* Fiber.join(fiber)).toBe("first")
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 1, closes: 0 })
    })
  )

  it.effect("interrupted, keeps the place in the order of those that were not", () =>
    Effect.gen(function* () {
      const server = yield* make
      const accepting = yield* Effect.fork(server.accept("withdrawn"))
      yield* settle
      yield* server.script(TestEndpoint.accepted("second"))
      yield* Fiber.interrupt(accepting)
      const { fiber } = yield* attempt(server)
      expect(yield* Fiber.join(fiber)).toBe("second")
    })
  )

  it.effect("gives a connection that tells when it is closed", () =>
    Effect.gen(function* () {
      const server = yield* make
      const { close } = yield* attempt(server)
      const connection = yield* server.accept("first")
      const closed = yield* Effect.fork(connection.awaitClosed)
      yield* settle
      expect([yield* connection.closed, closed.unsafePoll()]).toEqual([false, null])
      yield* close
      yield* Fiber.join(closed)
      expect(yield* connection.closed).toBe(true)
    })
  )

  it.effect("gives a connection that drops with an error or without, as often as it is told", () =>
    Effect.gen(function* () {
      const server = yield* make
      const { losses } = yield* attempt(server)
      const connection = yield* server.accept("first")
      yield* connection.drop("cut")
      yield* connection.drop()
      expect(losses).toEqual(["cut", undefined])
      expect(yield* connection.closed).toBe(false)
    })
  )

  it.effect("runs close before the connection counts as closed", () =>
    Effect.gen(function* () {
      const server = yield* make
      const gate = yield* Deferred.make<void>()
      const { close } = yield* attempt(server)
      const connection = yield* server.accept("first", { close: Deferred.await(gate) })
      const closing = yield* Effect.fork(close)
      yield* settle
      expect([yield* connection.closed, yield* server.closes]).toEqual([false, 0])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      expect([yield* connection.closed, yield* server.closes]).toEqual([true, 1])
    })
  )
})

describe("refuse", () => {
  it.effect("refuses the attempt under way, and opens nothing", () =>
    Effect.gen(function* () {
      const server = yield* make
      const { fiber } = yield* attempt(server)
      yield* server.refuse("refused")
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe("refused")
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 0, closes: 0 })
    })
  )

  it.effect("waits for the next attempt if none is under way", () =>
    Effect.gen(function* () {
      const server = yield* make
      const refusing = yield* Effect.fork(server.refuse("refused"))
      yield* settle
      expect(refusing.unsafePoll()).toBeNull()
      const { fiber } = yield* attempt(server)
      yield* Fiber.join(refusing)
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe("refused")
    })
  )
})

describe("script", () => {
  it.effect("decides attempts in its order, and those after it wait", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(TestEndpoint.accepted("first"), TestEndpoint.refused("second"))
      yield* server.script(TestEndpoint.accepted("third"))
      const exits: Array<unknown> = []
      for (let i = 0; i < 4; i++) {
        const { fiber } = yield* attempt(server)
        exits.push(fiber.unsafePoll())
      }
      expect(exits).toEqual([Exit.succeed("first"), Exit.fail("second"), Exit.succeed("third"), null])
    })
  )

  it.effect("takes any Effect that connects for an outcome", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script((signal, open) =>
        Effect.gen(function* () {
          yield* open()
          const second = yield* open({ close: Effect.void })
          signal.lost("mine")
          yield* second.drop("second")
          return "custom"
        })
      )
      const { close, fiber, losses } = yield* attempt(server)
      expect(yield* Fiber.join(fiber)).toBe("custom")
      expect(losses).toEqual(["mine", "second"])
      yield* close
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 2, closes: 2 })
    })
  )
})

describe("counts and last", () => {
  it.scoped("follow the attempts and connections of a service", () =>
    Effect.gen(function* () {
      const server = yield* make
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.fromFunction(() => "1 second")
      })
      expect(yield* counts(server)).toEqual({ attempts: 0, opens: 0, closes: 0 })
      expect(yield* server.last).toEqual(Option.none())
      yield* service.start
      yield* settle
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 0, closes: 0 })
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      expect(yield* server.last).toEqual(Option.none())
      yield* TestClock.adjust("1 second")
      const first = yield* server.accept("first")
      expect(Option.getOrNull(yield* server.last)).toBe(first)
      yield* awaitState(service, "Connected")
      expect(yield* counts(server)).toEqual({ attempts: 2, opens: 1, closes: 0 })
      yield* first.drop()
      yield* first.awaitClosed
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      const second = yield* server.accept("second")
      expect(Option.getOrNull(yield* server.last)).toBe(second)
      expect(yield* counts(server)).toEqual({ attempts: 3, opens: 2, closes: 1 })
      yield* service.stop
      expect(yield* counts(server)).toEqual({ attempts: 3, opens: 2, closes: 2 })
    })
  )

  it.effect("are apart for each endpoint", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* make, yield* make]
      yield* one.script(TestEndpoint.accepted("one"))
      yield* attempt(one)
      expect(yield* counts(other)).toEqual({ attempts: 0, opens: 0, closes: 0 })
      const { fiber } = yield* attempt(other)
      expect(fiber.unsafePoll()).toBeNull()
    })
  )
})

describe("outcomes", () => {
  it.effect("delayed comes after its time, and not before", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(TestEndpoint.delayed(TestEndpoint.accepted("late"), "3 seconds"))
      const { fiber } = yield* attempt(server)
      yield* TestClock.adjust("2999 millis")
      expect([fiber.unsafePoll(), yield* server.opens]).toEqual([null, 0])
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(fiber)).toBe("late")
    })
  )

  it.effect("delayed ends at once if it is interrupted, and opens nothing", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const server = yield* make
        yield* server.script(TestEndpoint.delayed(TestEndpoint.accepted("late"), "3 seconds"))
        const { fiber } = yield* attempt(server)
        expect(timers.pending()).toBe(1)
        yield* Fiber.interrupt(fiber)
        expect(timers.pending()).toBe(0)
        yield* TestClock.adjust("3 seconds")
        expect(yield* server.opens).toBe(0)
      })
    )
  )

  it.effect("uninterruptible ignores its interruption until it is decided", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(
        TestEndpoint.uninterruptible(TestEndpoint.delayed(TestEndpoint.accepted("stubborn"), "3 seconds"))
      )
      const { close, fiber } = yield* attempt(server)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("2999 millis")
      expect(interrupting.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interrupting)
      yield* close
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 1, closes: 1 })
    })
  )

  it.effect("dropped accepts, and drops after its time", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(TestEndpoint.dropped("brief", "5 seconds"))
      const { fiber, losses } = yield* attempt(server)
      expect(yield* Fiber.join(fiber)).toBe("brief")
      yield* TestClock.adjust("4999 millis")
      expect(losses).toEqual([])
      yield* TestClock.adjust("1 millis")
      expect(losses).toEqual([undefined])
    })
  )

  it.effect("dropped leaves no timer when the connection is closed before", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const server = yield* make
        yield* server.script(TestEndpoint.dropped("brief", "5 seconds"))
        const { close, losses } = yield* attempt(server)
        expect(timers.pending()).toBe(1)
        yield* close
        expect(timers.pending()).toBe(0)
        yield* TestClock.adjust("1 hour")
        expect(losses).toEqual([])
        expect(yield* server.closes).toBe(1)
      })
    )
  )

  it.effect("accepted and dropped take how the connection closes", () =>
    Effect.gen(function* () {
      const server = yield* make
      let closes = 0
      const close = Effect.sync(() => {
        closes += 1
      })
      yield* server.script(
        TestEndpoint.accepted("first", { close }),
        TestEndpoint.dropped("second", "1 second", { close })
      )
      yield* Effect.flatMap(attempt(server), ({ close }) => close)
      yield* Effect.flatMap(attempt(server), ({ close }) => close)
      expect(closes).toBe(2)
    })
  )

  it.effect("hung never ends, but for its interruption", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(TestEndpoint.hung)
      const { fiber } = yield* attempt(server)
      yield* TestClock.adjust("365 days")
      expect(fiber.unsafePoll()).toBeNull()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    })
  )

  it.effect("died is a defect", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(TestEndpoint.died("bug"))
      const { fiber } = yield* attempt(server)
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Option.getOrNull(Cause.dieOption(exit.cause))).toBe("bug")
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 0, closes: 0 })
    })
  )
})

describe("the endpoint", () => {
  it.effect("has a name that is not empty", () =>
    Effect.map(make, ({ endpoint }) => expect(endpoint.name).toBe("test"))
  )
})

describe("up and down", () => {
  const outcome = (server: TestEndpoint.TestEndpoint<string, string>) =>
    Effect.map(attempt(server), ({ fiber }) => fiber.unsafePoll())

  it.effect("decide the attempts under way and every later one, until told otherwise", () =>
    Effect.gen(function* () {
      const server = yield* make
      const waiting = [yield* attempt(server), yield* attempt(server)]
      yield* server.down("down")
      yield* settle
      expect(waiting.map(({ fiber }) => fiber.unsafePoll())).toEqual([Exit.fail("down"), Exit.fail("down")])
      expect([yield* outcome(server), yield* outcome(server)]).toEqual([Exit.fail("down"), Exit.fail("down")])
      yield* server.down("still")
      expect(yield* outcome(server)).toEqual(Exit.fail("still"))
      yield* server.up("up")
      expect([yield* outcome(server), yield* outcome(server)]).toEqual([Exit.succeed("up"), Exit.succeed("up")])
      yield* server.down("again")
      expect(yield* outcome(server)).toEqual(Exit.fail("again"))
      expect(yield* counts(server)).toEqual({ attempts: 8, opens: 2, closes: 0 })
    })
  )

  it.effect("come after what script, accept and refuse decide", () =>
    Effect.gen(function* () {
      const server = yield* make
      yield* server.script(TestEndpoint.refused("scripted before"))
      yield* server.up("up")
      yield* server.script(TestEndpoint.accepted("scripted after"))
      const accepting = yield* Effect.fork(server.accept("accepted"))
      const refusing = yield* Effect.fork(server.refuse("refused"))
      yield* settle
      const outcomes: Array<unknown> = []
      for (let i = 0; i < 6; i++) outcomes.push(yield* outcome(server))
      expect(outcomes).toEqual([
        Exit.fail("scripted before"),
        Exit.succeed("scripted after"),
        Exit.succeed("accepted"),
        Exit.fail("refused"),
        Exit.succeed("up"),
        Exit.succeed("up")
      ])
      yield* Fiber.join(accepting)
      yield* Fiber.join(refusing)
    })
  )

  it.effect("come after an accept that was interrupted as if it had never been", () =>
    Effect.gen(function* () {
      const server = yield* make
      const accepting = yield* Effect.fork(server.accept("withdrawn"))
      yield* settle
      yield* Fiber.interrupt(accepting)
      yield* server.up("up")
      expect(yield* outcome(server)).toEqual(Exit.succeed("up"))
    })
  )

  it.effect("up gives connections that can be dropped, and that close as told", () =>
    Effect.gen(function* () {
      const server = yield* make
      const gate = yield* Deferred.make<void>()
      yield* server.up("up", { close: Deferred.await(gate) })
      const { close, losses } = yield* attempt(server)
      const connection = Option.getOrThrow(yield* server.last)
      yield* connection.drop("cut")
      expect(losses).toEqual(["cut"])
      const closing = yield* Effect.fork(close)
      yield* settle
      expect(yield* connection.closed).toBe(false)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 1, closes: 1 })
    })
  )

  it.scoped("down leaves a connection that is open, and refuses a service until up", () =>
    Effect.gen(function* () {
      const server = yield* make
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.fromFunction(() => "1 second")
      })
      yield* server.up("first")
      yield* service.start
      expect(yield* service.whenConnected()).toBe("first")
      yield* server.down("down")
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Connected")
      yield* Effect.flatMap(server.last, Option.match({ onNone: () => Effect.void, onSome: ({ drop }) => drop() }))
      yield* TestClock.adjust("10 seconds")
      expect(yield* service.state.get).toMatchObject({ failures: 11, cause: Cause.fail("down") })
      yield* server.up("second")
      yield* TestClock.adjust("1 second")
      expect(yield* service.whenConnected()).toBe("second")
    })
  )
})
