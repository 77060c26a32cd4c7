import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Random, Scope, TestClock } from "effect"
import { TestEndpoint } from "effect-client-service"
import { awaitState, makeFixture, settle } from "../support/fixture.js"
import { withTimers } from "../support/timers.js"
import { acceptAll, counts, halfOpen, make } from "./support.js"
import { World } from "./world.js"

describe("races of stop", () => {
  // Failure 7: A stop while the client connects does not end its retries.
  // Reported: redis/node-redis#212, redis/node-redis#2010, redis/node-redis#2621, tulios/kafkajs#1174,
  // tulios/kafkajs#852, mqttjs/MQTT.js#579, twisted/twisted#4846
  it("a stop at any instant leaves no fiber, no timer and no connection", () => {
    const outcomes = [
      TestEndpoint.refused("refused"),
      TestEndpoint.delayed(TestEndpoint.refused("refused"), 250),
      halfOpen,
      TestEndpoint.dropped("protocol", 600),
      TestEndpoint.delayed(TestEndpoint.dropped("protocol", 300), 400),
      TestEndpoint.delayed(TestEndpoint.accepted("protocol"), 100)
    ]
    for (let instant = 0; instant <= 8000; instant += 50) {
      const world = new World()
      const { fibers, open, server, service } = world.run(
        make({
          connectTimeout: "1 second",
          heartbeat: { probe: () => Effect.sleep(150), interval: 200, timeout: 200 },
          prepare: () => Effect.sleep(50)
        })
      )
      world.run(server.script(...outcomes))
      world.run(service.start)
      world.pass(instant)
      const attempts = world.run(server.attempts)
      world.run(service.stop)
      expect([open.now, fibers.size, world.clock.sleeping]).toEqual([0, 0, 0])
      world.pass("1 hour")
      expect(world.run(server.attempts)).toBe(attempts)
      expect(open.most).toBe(1)
    }
  })

  // Failure 8: A stop while the connection is being prepared leaves its socket open.
  // Reported: Twisted 26.4
  it.scoped("a stop during a prepare that never ends closes the connection", () =>
    Effect.gen(function* () {
      const { open, server, service } = yield* make({ prepare: () => Effect.never })
      yield* acceptAll(server, 2)
      yield* service.start
      yield* settle
      expect(open.now).toBe(1)
      yield* service.stop
      expect(open.now).toBe(0)
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 1, closes: 1 })
    })
  )

  // Failure 9: A stop never completes when the peer is gone.
  // Reported: dotnet/aspnetcore#30839, tulios/kafkajs#918, tulios/kafkajs#903, redis/ioredis#1318,
  // brianc/node-postgres#3152
  it.scoped("a stop completes when closeTimeout is over, though the connection never closes", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({ closeTimeout: "3 seconds" })
      yield* acceptAll(server, 1, { close: Effect.never })
      yield* service.start
      yield* service.whenConnected()
      const stopping = yield* Effect.fork(service.stop)
      yield* TestClock.adjust("2999 millis")
      expect(stopping.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(stopping.unsafePoll()).not.toBeNull()
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  // Failure 10: A start right after a stop finds the old state still there, and does nothing.
  // Reported: dotnet/aspnetcore#32987, redis/ioredis#928, mqttjs/MQTT.js#1666
  it("a thousand times stop and start over closes of any length end in one connection", () => {
    const world = new World()
    const upTo = (limit: number) => world.run(Random.nextIntBetween(0, limit))
    const { open, server, service } = world.run(make())
    const close = Effect.flatMap(Random.nextIntBetween(0, 100), (millis) => Effect.sleep(millis))
    world.run(acceptAll(server, 2000, { close }))
    world.run(service.start)
    for (let i = 0; i < 1000; i++) {
      const stopping = world.fork(service.stop)
      world.pass(upTo(100))
      if (i % 2 === 0) world.pass(100)
      if (i % 2 === 0) expect(stopping.unsafePoll()).not.toBeNull()
      world.run(service.start)
      expect(world.run(service.running)).toBe(true)
      world.pass(upTo(100))
    }
    world.pass("1 hour")
    world.run(service.whenConnected())
    const { closes, opens } = world.run(counts(server))
    expect(opens - closes).toBe(1)
    expect(opens).toBeGreaterThan(500)
    expect(open).toEqual({ now: 1, most: 1 })
  })

  // Failure 11: The timer of a retry fires after the client was closed.
  // Reported: slopus/happy#1780, SignalR/SignalR#1358
  it.scoped("a stop while waiting to retry leaves no timer, and no attempt follows", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { server, service } = yield* make()
        yield* service.start
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        yield* acceptAll(server, 1)
        yield* service.stop
        expect(timers.pending()).toBe(0)
        yield* TestClock.adjust("1 hour")
        expect(yield* counts(server)).toEqual({ attempts: 1, opens: 0, closes: 0 })
      })
    )
  )

  // Failure 13: Whoever waits for a connection waits for ever when the client is closed.
  // Reported: twisted/twisted#8993
  it.effect("whoever waits is told when the Scope closes, in whatever state", () =>
    Effect.gen(function* () {
      const waits = ["Init", "Connecting", "Waiting", "Disconnecting", "Restarting"] as const
      for (const tag of waits) {
        const scope = yield* Scope.make()
        const { gate, reach, service } = yield* Scope.extend(makeFixture, scope)
        yield* reach[tag]
        expect((yield* service.state.get)._tag).toBe(tag)
        const waiters = yield* Effect.forEach(
          [service.whenConnected(), service.whenConnected({ failAfterFailures: 9 }), service.use(() => Effect.void)],
          (waiter: Effect.Effect<unknown, unknown>) => Effect.fork(waiter)
        )
        yield* settle
        yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        for (const waiter of waiters) {
          expect(yield* Effect.flip(Fiber.join(waiter))).toMatchObject({ _tag: "ServiceStopped", service: "test" })
        }
      }
    })
  )
})
