import { describe, expect, it } from "@effect/vitest"
import { Cause, type Clock, Deferred, Effect, type Scope, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

/** A connected service with a heartbeat of 10 seconds and a timeout of 2, whose probes do as `answer` says. */
const make = (answer: (probe: number) => Effect.Effect<void, string, Scope.Scope>) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const probed: Array<string> = []
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      retryPolicy: RetryPolicy.fromFunction(() => "1 second"),
      heartbeat: {
        probe: (protocol) => Effect.suspend(() => answer(probed.push(protocol))),
        interval: "10 seconds",
        timeout: "2 seconds"
      }
    })
    yield* service.start
    const connection = yield* server.accept("first")
    yield* awaitState(service, "Connected")
    return { connection, probed, server, service }
  })

describe("heartbeat", () => {
  it.scoped("probes an interval after the connection is up, and then after each answer", () =>
    Effect.gen(function* () {
      const { probed, service } = yield* make(() => Effect.sleep("1 second"))
      yield* TestClock.adjust("9999 millis")
      expect(probed).toHaveLength(0)
      yield* TestClock.adjust("1 millis")
      expect(probed).toHaveLength(1)
      yield* TestClock.adjust("10999 millis")
      expect(probed).toHaveLength(1)
      yield* TestClock.adjust("1 millis")
      expect(probed).toHaveLength(2)
      expect(yield* service.whenConnected()).toBe("first")
    })
  )

  it.scoped("gives each probe a Scope of its own", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      yield* make((probe) =>
        Effect.acquireRelease(
          Effect.sync(() => void log.push(`acquired ${probe}`)),
          () => Effect.sync(() => void log.push(`released ${probe}`))
        )
      )
      yield* TestClock.adjust("20 seconds")
      expect(log).toEqual(["acquired 1", "released 1", "acquired 2", "released 2"])
    })
  )

  it.scoped("loses a connection whose probe has no answer within the timeout", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make(() => Effect.never)
      yield* TestClock.adjust("11999 millis")
      expect((yield* service.state.get)._tag).toBe("Connected")
      yield* TestClock.adjust("1 millis")
      expect(yield* service.state.get).toMatchObject({
        _tag: "Waiting",
        failures: 1,
        cause: { error: { _tag: "HeartbeatTimeout", service: "test" } }
      })
      expect(yield* connection.closed).toBe(true)
    })
  )

  it.scoped("notices the silence in time although the probe ignores its interruption", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { service } = yield* make(() => Effect.uninterruptible(Deferred.await(gate)))
      yield* TestClock.adjust("12 seconds")
      expect((yield* service.state.get)._tag).toBe("Waiting")
      yield* Deferred.succeed(gate, undefined)
    })
  )

  for (const [name, answer, cause] of [
    ["fails", Effect.fail("mute"), Cause.fail("mute")],
    ["dies", Effect.die("boom"), Cause.die("boom")]
  ] as const) {
    it.scoped(`loses a connection whose probe ${name}, with that cause`, () =>
      Effect.gen(function* () {
        const { service } = yield* make(() => answer)
        yield* TestClock.adjust("10 seconds")
        expect(yield* service.state.get).toMatchObject({ _tag: "Waiting", cause })
      })
    )
  }

  it.scoped("loses a connection whose probe throws", () =>
    Effect.gen(function* () {
      const { service } = yield* make(() => {
        throw new Error("thrown")
      })
      yield* TestClock.adjust("10 seconds")
      expect((yield* service.state.get)._tag).toBe("Waiting")
    })
  )

  it.scoped("runs one probe after the clock has jumped by hours", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      let jumped = 0
      const jumping: Clock.Clock = Object.assign(Object.create(clock), {
        unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + jumped,
        currentTimeMillis: Effect.sync(() => clock.unsafeCurrentTimeMillis() + jumped)
      })
      const { probed } = yield* Effect.withClock(
        make(() => Effect.void),
        jumping
      )
      yield* TestClock.adjust("9 seconds")
      jumped = 24 * 60 * 60 * 1000
      yield* TestClock.adjust("1 second")
      expect(probed).toHaveLength(1)
      yield* TestClock.adjust("9 seconds")
      expect(probed).toHaveLength(1)
    })
  )

  it.scoped("of an old connection never touches the new one", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { connection, server, service } = yield* make((probe) =>
        probe === 1 ? Effect.zipRight(Effect.uninterruptible(Deferred.await(gate)), Effect.fail("late")) : Effect.void
      )
      yield* TestClock.adjust("10 seconds")
      yield* connection.drop()
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* server.accept("second")
      yield* awaitState(service, "Connected")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* TestClock.adjust("20 seconds")
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  it.scoped("ends with the connection and leaves no timer", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { probed, service } = yield* make(() => Effect.never)
        yield* TestClock.adjust("10 seconds")
        expect(probed).toHaveLength(1)
        yield* service.stop
        expect(timers.pending()).toBe(0)
        yield* TestClock.adjust("1 hour")
        expect(probed).toHaveLength(1)
      })
    )
  )

  it.scoped("may stop the service from its probe", () =>
    Effect.gen(function* () {
      const self = yield* Deferred.make<{ readonly stop: Effect.Effect<void> }>()
      const { server, service } = yield* make(() => Effect.flatMap(Deferred.await(self), ({ stop }) => stop))
      yield* Deferred.succeed(self, service)
      yield* TestClock.adjust("10 seconds")
      yield* awaitState(service, "Stopped")
      expect(yield* server.closes).toBe(1)
    })
  )

  for (const option of ["interval", "timeout"] as const) {
    it(`refuses an ${option} of zero`, () => {
      const options = { interval: 1, timeout: 1, [option]: 0, probe: () => Effect.void }
      expect(() =>
        ClientService.make({
          endpoint: Endpoint.make({ name: "test", connect: () => Effect.void }),
          heartbeat: options
        })
      ).toThrow(`heartbeat.${option} must be a duration of more than zero, got 0`)
    })
  }
})
