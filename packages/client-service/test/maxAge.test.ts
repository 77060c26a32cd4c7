import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Duration, Effect, Fiber, Option, Schedule, Stream, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, recordStates, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

/** A connected service whose connections live for an hour at most. */
const make = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const service = yield* ClientService.make({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "1 minute"),
    connectTimeout: Duration.infinity,
    maxAge: "1 hour"
  })
  yield* service.start
  const connection = yield* server.accept("first")
  yield* awaitState(service, "Connected")
  return { connection, server, service }
})

const eventOfSocket = Effect.async<void>((resume) => void setTimeout(() => resume(Effect.void)))

describe("maxAge", () => {
  it.scoped("replaces a connection between 80 and 100 % of it", () =>
    Effect.gen(function* () {
      const { server } = yield* make
      yield* TestClock.adjust("47 minutes")
      expect(yield* server.attempts).toBe(1)
      yield* TestClock.adjust("13 minutes")
      expect(yield* server.attempts).toBe(2)
    })
  )

  it.scoped("makes the new connection first, publishes it, and then closes the old one", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      yield* TestClock.adjust("1 hour")
      expect(yield* service.whenConnected()).toBe("first")
      expect(yield* connection.closed).toBe(false)
      yield* server.accept("second")
      yield* settle
      expect(yield* service.whenConnected()).toBe("second")
      expect(yield* connection.closed).toBe(true)
      expect(yield* service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
      expect([yield* server.opens, yield* server.closes]).toEqual([2, 1])
    })
  )

  it.scoped("lets a use run across the change, and closes the old connection when it is done", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      const gate = yield* Deferred.make<void>()
      const use = yield* Effect.fork(service.use((protocol) => Effect.as(Deferred.await(gate), protocol)))
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* server.accept("second")
      yield* settle
      expect(yield* service.whenConnected()).toBe("second")
      expect(yield* connection.closed).toBe(false)
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(use)).toBe("first")
      yield* settle
      expect(yield* connection.closed).toBe(true)
    })
  )

  it.scoped("interrupts a use that outlasts closeTimeout", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      const use = yield* Effect.fork(service.use(() => Effect.never))
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* server.accept("second")
      yield* settle
      yield* TestClock.adjust("4999 millis")
      expect(use.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "ConnectionLost" })
      expect(yield* connection.closed).toBe(true)
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  it.scoped("goes on with the old connection while the new one can't be made, and tries again as the policy says", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      yield* TestClock.adjust("1 hour")
      yield* server.refuse("refused")
      yield* settle
      expect(yield* service.whenConnected()).toBe("first")
      yield* TestClock.adjust("59 seconds")
      expect(yield* server.attempts).toBe(2)
      yield* TestClock.adjust("1 second")
      expect(yield* server.attempts).toBe(3)
      yield* server.accept("second")
      yield* settle
      expect(yield* service.whenConnected()).toBe("second")
      expect(yield* connection.closed).toBe(true)
    })
  )

  // Kind 11
  it.scoped("goes on with the attempt for the new connection when the old one is lost meanwhile", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      yield* TestClock.adjust("1 hour")
      const states = yield* recordStates(service)
      const use = yield* Effect.fork(Effect.exit(service.use(() => Effect.never)))
      yield* settle
      yield* connection.drop()
      yield* settle
      expect((yield* Fiber.join(use))._tag).toBe("Failure")
      expect(yield* service.protocol.get).toEqual(Option.none())
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* server.accept("second")
      expect(yield* Fiber.join(waiter)).toBe("second")
      yield* settle
      expect(states).toEqual(["Connecting", "Connected"])
      expect(yield* service.state.get).toMatchObject({ generation: 2 })
      expect([yield* server.attempts, yield* server.opens, yield* server.closes]).toEqual([2, 2, 1])
    })
  )

  for (const when of ["connects", "is prepared", "is ready"]) {
    it.scoped(`a server that ends the old session when the new one ${when} costs no failure, and no time`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const sessions: Array<TestEndpoint.TestConnection<string>> = []
        const takeOver = Effect.suspend(() => sessions.at(-2)?.drop("logged in elsewhere") ?? Effect.void)
        const outcome: TestEndpoint.Outcome<string, string> = (_, open) =>
          Effect.gen(function* () {
            sessions.push(yield* open())
            if (when === "connects") yield* takeOver
            return "session"
          })
        yield* server.script(...Array.from({ length: 100 }, () => outcome))
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          prepare: () =>
            Effect.sleep("10 millis").pipe(
              Effect.zipRight(when === "is prepared" ? takeOver : Effect.void),
              Effect.zipRight(Effect.sleep("10 millis")),
              Effect.zipRight(when === "is ready" ? takeOver : Effect.void)
            ),
          retryPolicy: RetryPolicy.fromFunction(() => "1 second"),
          maxAge: "1 second"
        })
        yield* service.start
        yield* TestClock.adjust("20 millis")
        const states = yield* recordStates(service)
        let away = 0
        for (let millis = 0; millis < 6000; millis += 10) {
          if (Option.isNone(yield* service.protocol.get)) away += 10
          yield* TestClock.adjust("10 millis")
        }
        const times = sessions.length - 1
        expect(times).toBeGreaterThanOrEqual(5)
        expect(new Set(states)).toEqual(new Set(["Connecting", "Connected"]))
        expect(away).toBeLessThanOrEqual(times * 20)
        expect(yield* server.attempts).toBe(sessions.length)
        expect((yield* server.opens) - (yield* server.closes)).toBe(1)
        expect(JSON.parse(JSON.stringify(service))).toMatchObject({ failures: 0 })
      })
    )
  }

  // Kind 11
  it.scoped("counts the new connection as failed when it fails itself, after the old one was lost", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      yield* TestClock.adjust("1 hour")
      yield* connection.drop("gone")
      const waiter = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
      yield* settle
      yield* server.refuse("refused")
      expect(yield* Fiber.join(waiter)).toBe("refused")
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ failures: 1, cause: Cause.fail("refused") })
      yield* TestClock.adjust("1 minute")
      yield* server.accept("third")
      yield* settle
      expect(yield* service.whenConnected()).toBe("third")
      expect([yield* server.attempts, yield* server.opens, yield* server.closes]).toEqual([3, 2, 1])
    })
  )

  // Kind 11
  it.scoped("counts a loss as one when those who used the connection end what was to replace it", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.fromFunction(() => "1 minute"),
        connectTimeout: Duration.infinity,
        maxAge: "1 hour"
      })
      const successor = yield* Deferred.make<TestEndpoint.TestConnection<string>>()
      yield* server.script(TestEndpoint.accepted("first"), (_, open) =>
        Effect.zipRight(
          Effect.flatMap(open(), (opened) => Deferred.succeed(successor, opened)),
          Effect.never
        )
      )
      yield* service.start
      yield* awaitState(service, "Connected")
      const first = Option.getOrThrow(yield* server.last)
      yield* TestClock.adjust("1 hour")
      const { drop } = yield* Deferred.await(successor)
      yield* Effect.fork(Effect.exit(service.useAsync<never>(() => () => Effect.runSync(drop("ended")))))
      yield* settle
      yield* first.drop("lost")
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ failures: 1, cause: Cause.fail("lost") })
      expect([yield* server.opens, yield* server.closes]).toEqual([2, 2])
    })
  )

  it.scoped("notices the loss of the old connection although the policy has no answer about the new one", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const gate = yield* Deferred.make<void>()
      const asks = { first: true }
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: Schedule.tapInput(Schedule.spaced("1 minute"), () => {
          const answer = asks.first ? Deferred.await(gate) : Effect.void
          asks.first = false
          return answer
        }),
        connectTimeout: Duration.infinity,
        maxAge: "1 hour"
      })
      yield* service.start
      const connection = yield* server.accept("first")
      yield* TestClock.adjust("1 hour")
      yield* server.refuse("refused")
      yield* settle
      yield* connection.drop()
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Waiting")
    })
  )

  it.scoped("gives each connection to connections, and a late loss of the old one touches nothing", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make
      const seen = yield* Effect.fork(Stream.runCollect(Stream.take(service.connections, 2)))
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* server.accept("second")
      yield* settle
      yield* connection.drop("late")
      expect(Chunk.toReadonlyArray(yield* Fiber.join(seen))).toEqual(["first", "second"])
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  for (const when of ["while the new one is made", "while the old one is in use"]) {
    it.scoped(`stop closes both ${when}, and leaves no timer`, () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { server, service } = yield* make
          const use = yield* Effect.fork(service.use(() => Effect.never))
          yield* settle
          yield* TestClock.adjust("1 hour")
          if (when === "while the old one is in use") {
            yield* server.accept("second")
            yield* settle
            expect((yield* server.opens) - (yield* server.closes)).toBe(2)
          }
          yield* service.stop
          expect(timers.pending()).toBe(0)
          expect((yield* server.opens) - (yield* server.closes)).toBe(0)
          expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "ConnectionLost" })
        })
      )
    )
  }

  it.scoped("never has more than two connections open", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      let most = 0
      const outcome: TestEndpoint.Outcome<string> = (_, open) =>
        Effect.gen(function* () {
          yield* open({ close: Effect.sleep("3 seconds") })
          most = Math.max(most, (yield* server.opens) - (yield* server.closes))
          return "protocol"
        })
      yield* server.script(...Array.from({ length: 100 }, () => outcome))
      const service = yield* ClientService.make({ endpoint: server.endpoint, maxAge: "2 seconds" })
      yield* service.start
      yield* TestClock.adjust("1 minute")
      expect(yield* server.opens).toBeGreaterThan(10)
      expect(most).toBe(2)
      const stop = yield* Effect.fork(service.stop)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(stop)
    })
  )

  it("of zero is refused", () => {
    expect(() =>
      ClientService.make({ endpoint: Endpoint.make({ name: "test", connect: () => Effect.void }), maxAge: 0 })
    ).toThrow("maxAge must be a duration of more than zero, got 0")
  })

  // Kind 7
  it.scopedLive("what was to replace a connection that is lost has the turn of its deadline, too", () =>
    Effect.gen(function* () {
      const signals: Array<() => void> = []
      let answer = () => {}
      const asked = yield* Deferred.make<void>()
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({
          name: "db",
          connect: (signal: Endpoint.ConnectionSignal<never>) =>
            Effect.async<number>((resume) => {
              signals.push(() => signal.lost())
              if (signals.length === 1) return resume(Effect.succeed(1))
              answer = () => resume(Effect.succeed(signals.length))
              Deferred.unsafeDone(asked, Effect.void)
            })
        }),
        maxAge: 5,
        connectTimeout: 60
      })
      yield* service.start
      yield* Deferred.await(asked)
      // All of it is heard when the timeout has passed, and the loss first.
      setTimeout(() => signals[0]?.(), 62)
      setTimeout(() => answer(), 64)
      const end = performance.now() + 120
      while (performance.now() < end) {}
      yield* Effect.repeat(eventOfSocket, {
        until: () => Effect.map(service.state.get, ({ _tag }) => _tag !== "Connecting")
      })
      expect(yield* service.state.get).toMatchObject({ _tag: "Connected", protocol: 2 })
    })
  )
})
