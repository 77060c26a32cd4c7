import { describe, expect, it } from "@effect/vitest"
import { Effect, type Fiber, FiberId, Random, Stream, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy, Telemetry, TestEndpoint } from "effect-client-service"
import { FiberCensus } from "../properties/fiberCensus.js"
import { settle } from "../support/fixture.js"
import { withLogs } from "../support/logs.js"
import { metricsOf } from "../support/metrics.js"
import { counts, everySecond, halfOpen, held, make, refuseAll, turn } from "./support.js"
import { World } from "./world.js"

describe("leaks and logs", () => {
  // Failure 52: Each reconnect leaves a listener or an object behind.
  // Reported: redis/node-redis#723, newrelic/node-newrelic#725, SignalR/SignalR#3793, kmamykin/aws-mqtt#5,
  // jaredwray/keyv#2106, redis/ioredis#2030
  it.effect(
    "after 10,000 reconnects there are no more fibers, timers, listeners and objects than after the first",
    () =>
      Effect.gen(function* () {
        const world = new World()
        const started: Array<WeakRef<object>> = []
        const fibers = new FiberCensus(
          () => {},
          (fiber) => started.push(new WeakRef(fiber))
        )
        const emitter = new EventTarget()
        let listeners = 0
        const protocols: Array<WeakRef<object>> = []
        const scopes: Array<WeakRef<object>> = []
        const errors: Array<WeakRef<object>> = []
        let lose = () => {}
        const service = world.run(
          ClientService.make({
            endpoint: Endpoint.make({
              name: "test",
              connect: (signal: Endpoint.ConnectionSignal<Error>) =>
                Effect.acquireRelease(
                  Effect.map(Effect.scope, (scope) => {
                    const protocol = {
                      lost: () => {
                        const error = new Error("cut")
                        errors.push(new WeakRef(error))
                        signal.lost(error)
                      }
                    }
                    scopes.push(new WeakRef(scope))
                    listeners += 1
                    emitter.addEventListener("lost", protocol.lost)
                    lose = protocol.lost
                    protocols.push(new WeakRef(protocol))
                    return protocol
                  }),
                  ({ lost }) =>
                    Effect.sync(() => {
                      listeners -= 1
                      emitter.removeEventListener("lost", lost)
                    })
                )
            }),
            prepare: () => Effect.addFinalizer(() => Effect.void),
            heartbeat: { probe: () => Effect.void, interval: 1000, timeout: 1000 },
            retryPolicy: everySecond
          }).pipe(Effect.supervised(fibers))
        )
        world.run(service.start)
        const census = () => [fibers.size, world.clock.sleeping, listeners]
        world.pass(500)
        const first = census()
        for (let i = 0; i < 10_000; i++) {
          lose()
          world.pass(1500)
          expect(census()).toEqual(first)
          if (i % 100 === 0) yield* turn
        }
        for (const objects of [protocols, scopes, errors]) {
          expect(objects.length).toBeGreaterThanOrEqual(10_000)
          // The present one, and the one before, of which the tracer's span knows.
          expect(yield* held(objects)).toBeLessThanOrEqual(2)
        }
        // Each connection has five.
        expect(started.length).toBeGreaterThanOrEqual(50_000)
        expect(yield* held(started)).toBeLessThanOrEqual(10)
        world.close()
      })
  )

  // Failure 53: The old handle is overwritten before it is closed, until there are no more file descriptors.
  // Reported: MetPX/sarracenia#1648, Particular/NServiceBus.RabbitMQ#1115, SignalR/SignalR#4412
  it("every connection that was opened is closed, however its attempt or its life ended", () => {
    const world = new World()
    const { open, server, service } = world.run(
      make({
        connectTimeout: "1 second",
        prepare: (protocol) =>
          protocol === "unprepared" ? Effect.fail("no") : protocol === "stuck" ? Effect.never : Effect.void
      })
    )
    const outcomes: ReadonlyArray<TestEndpoint.Outcome<string, string>> = [
      TestEndpoint.refused("refused"),
      halfOpen,
      TestEndpoint.accepted("unprepared"),
      TestEndpoint.accepted("stuck"),
      TestEndpoint.dropped("protocol", 1),
      TestEndpoint.dropped("protocol", 500),
      (_, open) => Effect.zipRight(open(), Effect.die("died"))
    ]
    const script = world.run(Random.shuffle(Array.from({ length: 150 }, () => outcomes).flat()))
    world.run(server.script(...script))
    world.run(service.start)
    for (let i = 0; world.run(server.attempts) <= 1000; i++) {
      world.pass(333)
      if (i % 5 === 0) world.run(service.reconnect)
      if (i % 7 === 0) world.run(Effect.zipRight(service.stop, service.start))
    }
    world.run(service.stop)
    const { closes, opens } = world.run(counts(server))
    expect(opens).toBeGreaterThan(500)
    expect(closes).toBe(opens)
    expect(open).toEqual({ now: 0, most: 1 })
    world.close()
  })

  // Failure 55: Gauges drift: what was cancelled counts as failed, and what was closed as open.
  // Reported: A94@grpc/proposal, grpc/grpc-go#7862
  it("the gauges and counts are those of the states and the waiters, at all times", () => {
    const world = new World()
    const upTo = (limit: number) => world.run(Random.nextIntBetween(0, limit))
    const { server, service } = world.run(
      make({ name: "gauges", connectTimeout: "1 second" }).pipe(Effect.provide(Telemetry.layer))
    )
    const outcomes: ReadonlyArray<TestEndpoint.Outcome<string, string>> = [
      TestEndpoint.refused("refused"),
      TestEndpoint.hung,
      TestEndpoint.accepted("protocol"),
      TestEndpoint.dropped("protocol", 100),
      TestEndpoint.died("died")
    ]
    world.run(server.script(...world.run(Random.shuffle(Array.from({ length: 200 }, () => outcomes).flat()))))
    const steps = new Map<string, number>()
    let last = "Init"
    world.fork(
      Stream.runForEach(Stream.drop(service.state.changes, 1), ({ _tag }) =>
        Effect.sync(() => {
          const step = `${last} to ${_tag}`
          steps.set(step, (steps.get(step) ?? 0) + 1)
          last = _tag
        })
      )
    )
    const sum = (from: RegExp) => [...steps].reduce((sum, [step, times]) => sum + (from.test(step) ? times : 0), 0)
    let waiters: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
    const events = [
      () => world.pass(upTo(1000)),
      () => world.pass(upTo(1000)),
      () => world.run(service.reconnect),
      () => world.run(Effect.zipRight(service.stop, service.start)),
      () => void waiters.push(world.fork(service.whenConnected({ failAfterFailures: 2 }))),
      () => waiters[upTo(waiters.length + 1)]?.unsafeInterruptAsFork(FiberId.none)
    ]
    world.run(service.start)
    for (let i = 0; i < 1000; i++) {
      events[upTo(events.length)]?.()
      world.settle()
      waiters = waiters.filter((waiter) => waiter.unsafePoll() === null)
      const metrics = world.run(metricsOf("gauges"))
      const count = (prefix: string) =>
        Object.entries(metrics).reduce((sum, [name, value]) => sum + (name.startsWith(prefix) ? Number(value) : 0), 0)
      expect({
        open: count("connections.open"),
        waiters: metrics["waiters"] ?? 0,
        succeeded: count("attempts succeeded"),
        failed: count("attempts failed") + count("attempts timed_out"),
        interrupted: count("attempts interrupted"),
        ended: count("disconnections")
      }).toEqual({
        open: last === "Connected" ? 1 : 0,
        waiters: waiters.length,
        succeeded: sum(/to Connected/),
        failed: sum(/Connecting to Waiting/),
        interrupted: sum(/Connecting to (Disconnecting|Connecting)/),
        ended: sum(/Connected to/)
      })
    }
    expect(
      Math.min(sum(/to Connected/), sum(/Connecting to Waiting/), sum(/Connecting to Disconnecting/))
    ).toBeGreaterThan(20)
    world.close()
  })

  // Failure 56: The log is flooded while the peer is down.
  // Reported: ConnectionWatchdog.java@redis/lettuce, larksuite/node-sdk#177
  it.scoped("an hour of outage logs at most one warning a minute", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const { server, service } = yield* make({ retryPolicy: RetryPolicy.fromFunction(() => "10 seconds") })
        yield* refuseAll(server, 360)
        yield* service.start
        yield* TestClock.adjust("3599 seconds")
        expect(yield* server.attempts).toBe(360)
        const warnings = entries.filter(({ level }) => level === "Warning")
        expect(warnings).toHaveLength(60)
        expect(warnings[1]?.message).toBe("attempt failed, next attempt in 10s (5 more since the last)")
      })
    )
  )

  // Failure 57: The number of the attempt is one too many or too few, in the logs or for the policy.
  // Reported: dotnet/aspnetcore#34773, Twisted 26.4
  it.scoped("attempts and failures have these numbers in the log and for the policy", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const asked: Array<number> = []
        const { server, service } = yield* make({
          retryPolicy: RetryPolicy.fromFunction((failures) => {
            asked.push(failures)
            return `${failures} seconds`
          })
        })
        yield* server.script(
          TestEndpoint.refused("refused"),
          TestEndpoint.refused("refused"),
          TestEndpoint.dropped("early", "1 second"),
          TestEndpoint.refused("refused"),
          TestEndpoint.dropped("late", "1 hour"),
          TestEndpoint.refused("refused"),
          TestEndpoint.refused("refused")
        )
        yield* service.start
        yield* TestClock.adjust("3612 seconds")
        yield* service.stop
        yield* service.start
        yield* settle
        const ladder = entries.map(
          ({ annotations, message }) => `${annotations["attempt"]} ${message.replace(/ \(.*/, "")}`
        )
        expect(ladder).toEqual([
          "1 connecting",
          "1 attempt failed, next attempt in 1s",
          "2 connecting",
          "2 attempt failed, next attempt in 2s",
          "3 connecting",
          "3 connected",
          "3 connection lost, next attempt in 3s",
          "4 connecting",
          "4 attempt failed, next attempt in 4s",
          "5 connecting",
          "5 connected",
          "5 connection lost, next attempt in 1s",
          "6 connecting",
          "6 attempt failed, next attempt in 2s",
          "6 stopped",
          "1 connecting",
          "1 attempt failed, next attempt in 1s"
        ])
        expect(asked).toEqual([1, 2, 3, 4, 1, 2, 1])
        expect(service.toJSON()).toMatchObject({ attempt: 1, failures: 1, generation: 2 })
      })
    )
  )
})
