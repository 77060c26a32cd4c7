import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, FiberId, Schedule, TestClock } from "effect"
import { ClientService, Endpoint, type RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, makeFixture, settle, stateTags } from "../support/fixture.js"
import { acceptAll, counts, drop, everySecond, halfOpen, held, make, turn } from "./support.js"
import { World } from "./world.js"

describe("lost wake-ups and stuck states", () => {
  // Failure 14: The back-off is over before the attempt has failed, and then nobody tries again.
  // Reported: grpc/grpc-node#1446
  it("attempts that take longer than the delay follow each other", () => {
    const world = new World()
    const { server, service } = world.run(make())
    const slow = TestEndpoint.delayed(TestEndpoint.refused("refused"), "10 seconds")
    world.run(server.script(slow, slow, slow, slow))
    world.run(service.start)
    const attempts = [0, 10, 1, 10, 1, 10].map((seconds) => {
      world.pass(`${seconds} seconds`)
      return world.run(server.attempts)
    })
    expect(attempts).toEqual([1, 1, 2, 2, 3, 3])
    world.close()
  })

  // Failure 15: The client gets into a state that no timer leads out of.
  // Reported: grpc/grpc-node#1073
  it.effect("time alone leads from every state of a started service to a connection", () =>
    Effect.gen(function* () {
      for (const tag of stateTags) {
        yield* Effect.gen(function* () {
          const { reach, server, service } = yield* makeFixture
          yield* reach[tag]
          expect((yield* service.state.get)._tag).toBe(tag)
          yield* service.start
          // A connection that is up is lost, whose close may hang.
          if (tag === "Connected") yield* drop(server)
          yield* acceptAll(server, 2)
          yield* TestClock.adjust("2 hours")
          expect((yield* service.state.get)._tag).toBe("Connected")
        }).pipe(Effect.scoped)
      }
    })
  )

  // Failure 16: The reconnect loop dies silently, while its flags say that it is open.
  // Reported: redis/node-redis#3346
  it("a loss between any two steps of connect and prepare leads to another connection", () => {
    const turns = Effect.repeatN(Effect.yieldNow(), 3)
    for (let steps = 0; ; steps++) {
      const world = new World()
      let attempts = 0
      let lose = () => {}
      const service = world.run(
        ClientService.make({
          endpoint: Endpoint.make({
            name: "test",
            connect: (signal: Endpoint.ConnectionSignal<string>) =>
              Effect.suspend(() => {
                attempts += 1
                if (attempts === 1) lose = () => signal.lost("killed")
                return Effect.as(turns, attempts)
              })
          }),
          protocol: (attempt) => Effect.as(turns, attempt),
          prepare: () => turns,
          retryPolicy: everySecond
        })
      )
      world.fork(service.start)
      const isOver = world.settle(steps) < steps
      lose()
      world.settle()
      world.pass("1 second")
      expect(world.run(service.state.get)).toMatchObject({ _tag: "Connected", protocol: attempts })
      // Killed before it began, an attempt has nothing to lose.
      expect([1, 2]).toContain(attempts)
      world.close()
      if (isOver) {
        expect(attempts).toBe(2)
        break
      }
    }
  })

  // Failure 17: The peer accepts and then never answers, and the client connects for ever.
  // Reported: grpc/grpc-node#2785, grpc/grpc-node#3071, connectrpc/connect-es#1748, celery/py-amqp#398,
  // grpc/grpc-rust#2073
  it("a connect, a protocol or a prepare that never ends is given up, closed, and tried again", () => {
    for (const step of ["connect", "protocol", "prepare"]) {
      const world = new World()
      const { open, server, service } = world.run(
        make({
          connectTimeout: "10 seconds",
          prepare: (protocol) => (protocol === step ? Effect.never : Effect.void)
        })
      )
      const never = step === "prepare" ? TestEndpoint.accepted(step) : halfOpen
      world.run(server.script(never, TestEndpoint.accepted("second")))
      world.run(service.start)
      world.pass(9999)
      expect(world.run(service.state.get)).toMatchObject({ _tag: "Connecting", attempt: 1 })
      world.pass(1)
      expect(world.run(service.state.get)).toMatchObject({
        _tag: "Waiting",
        cause: { error: { _tag: "ConnectTimeout" } }
      })
      expect(open.now).toBe(0)
      world.pass("1 second")
      expect(world.run(service.whenConnected())).toBe("second")
      world.close()
    }
  })

  // Failure 18: The provider of the URL or of the credentials hangs, for the timeout begins only after it.
  // Reported: partysocket
  it("the timeout of an attempt begins before its credentials are asked for", () => {
    const world = new World()
    const providers = [Effect.never, Effect.sleep("29 seconds"), Effect.sleep("1 second")][Symbol.iterator]()
    const service = world.run(
      ClientService.make({
        endpoint: Endpoint.make({
          name: "test",
          connect: () =>
            (providers.next().value ?? Effect.void).pipe(
              Effect.zipRight(Effect.sleep("2 seconds")),
              Effect.as("protocol")
            )
        }),
        retryPolicy: everySecond
      })
    )
    world.run(service.start)
    // The first provider never answers; the second leaves too little for the rest; the third leaves enough.
    for (const failures of [1, 2]) {
      world.pass("30 seconds")
      expect(world.run(service.state.get)).toMatchObject({ failures, cause: { error: { _tag: "ConnectTimeout" } } })
      world.pass("1 second")
    }
    world.pass("3 seconds")
    expect(world.run(service.whenConnected())).toBe("protocol")
    world.close()
  })

  // Failure 19: The close event that the client waits for never comes.
  // Reported: mqttjs/MQTT.js#2052, phoenixframework/phoenix#4921
  it.scoped("a connection that never tells of its loss, nor closes, is replaced when it does not answer", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({
        closeTimeout: "1 second",
        heartbeat: {
          probe: (protocol) => (protocol === "protocol 1" ? Effect.never : Effect.void),
          interval: 1000,
          timeout: 1000
        }
      })
      yield* server.script(
        TestEndpoint.accepted("protocol 1", { close: Effect.never }),
        TestEndpoint.accepted("second")
      )
      yield* service.start
      yield* TestClock.adjust("4 seconds")
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  // Failure 20: A lock is not given back when the client gives up, and it can't be started again.
  // Reported: cloudflare/partykit#252
  it.scoped("a service that has given up can be started again, any number of times", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({ retryPolicy: Schedule.recurs(0) })
      for (let round = 1; round <= 3; round++) {
        yield* service.start
        yield* server.refuse("refused")
        yield* awaitState(service, "Exhausted")
        expect(yield* server.attempts).toBe(round)
      }
      yield* service.start
      yield* server.accept("protocol")
      expect(yield* service.whenConnected()).toBe("protocol")
    })
  )

  // Failure 21: A loss races a waiter, which is given a connection that is gone.
  // Reported: rsocket/rsocket-java#847
  it("a waiter gets nothing whose loss was signalled, whatever steps there are between", () => {
    for (let steps = 0; ; steps++) {
      const world = new World()
      const { server, service } = world.run(make())
      let isLost = false
      let lose = () => {}
      const losing: TestEndpoint.Outcome<string, string> = (signal, open) => {
        lose = () => {
          isLost = true
          signal.lost()
        }
        return Effect.as(open(), "first")
      }
      world.run(server.script(losing, TestEndpoint.accepted("second")))
      const given: Array<string> = []
      const waiting = Effect.map(service.whenConnected(), (protocol) =>
        given.push(isLost ? `${protocol} after the loss` : protocol)
      )
      world.fork(waiting)
      world.fork(Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 10), waiting))
      world.fork(service.start)
      const isOver = world.settle(steps) < steps
      lose()
      world.settle()
      world.pass("1 second")
      expect(given).toHaveLength(2)
      expect(given).not.toContain("first after the loss")
      world.close()
      if (isOver) {
        expect(given).toEqual(["first", "first"])
        break
      }
    }
  })

  // Failure 22: Waiters that are cancelled leak.
  // Reported: Twisted 26.4, grpc/grpc-node#2785
  it.effect("nothing holds on to 20,000 waiters that were interrupted or have timed out", () =>
    Effect.gen(function* () {
      const world = new World()
      const { fibers, server, service } = world.run(make())
      world.run(server.script(TestEndpoint.hung))
      world.run(service.start)
      const idle = { fibers: fibers.size, sleeping: world.clock.sleeping }
      const waiters: Array<WeakRef<object>> = []
      for (let i = 0; i < 20; i++) {
        const batch = Array.from({ length: 1000 }, (_, j) => {
          if (j % 100 === 0) return world.fork(Effect.timeoutOption(service.whenConnected(), "200 millis"))
          return world.fork(
            j % 2 === 0 ? service.whenConnected() : service.whenConnected({ failAfterFailures: 1 + (j % 7) })
          )
        })
        world.pass("200 millis")
        for (const waiter of batch) {
          waiter.unsafeInterruptAsFork(FiberId.none)
          waiters.push(new WeakRef(waiter))
        }
        world.settle()
        yield* turn
      }
      expect({ fibers: fibers.size, sleeping: world.clock.sleeping }).toEqual(idle)
      expect(yield* held(waiters)).toBe(0)
      world.close()
    })
  )

  // Failure 23: A call at the wrong time crashes: there is no connection to touch, or the client is just reconnecting.
  // Reported: elixir-ecto/postgrex#797, centrifugal/centrifuge-python#59
  it.effect("every call is legal in every state", () =>
    Effect.gen(function* () {
      const calls = ["start", "stop", "reconnect", "whenConnected", "use", "running", "state", "toJSON"] as const
      for (const tag of stateTags) {
        for (const call of calls) {
          yield* Effect.gen(function* () {
            const { gate, reach, service } = yield* makeFixture
            yield* reach[tag]
            const perform: Effect.Effect<unknown, unknown> = {
              start: service.start,
              stop: service.stop,
              reconnect: service.reconnect,
              whenConnected: service.whenConnected({ failAfterFailures: 1 }),
              use: service.use(Effect.succeed),
              running: service.running,
              state: Effect.all([service.state.get, service.protocol.get]),
              toJSON: Effect.sync(() => [service.toJSON(), String(service)])
            }[call]
            const called = yield* Effect.fork(perform)
            yield* settle
            yield* Deferred.succeed(gate, undefined)
            yield* settle
            // What waits for a connection may go on waiting, but nothing dies.
            const exit = called.unsafePoll()
            if (exit?._tag === "Failure") expect(Cause.isFailure(exit.cause)).toBe(true)
            yield* Fiber.interrupt(called)
            yield* service.stop
            expect((yield* service.state.get)._tag).toBe("Stopped")
          }).pipe(Effect.scoped)
        }
      }
    })
  )

  // Failure 24: A defect of the driver kills the client.
  // Reported: pingdotgg/t3code
  it.scoped("a connect, a protocol or a prepare that dies is a failed attempt, and a policy can end with it", () =>
    Effect.gen(function* () {
      const dies = (step: string) => (protocol: string) =>
        protocol === step ? Effect.die(`${step} died`) : Effect.succeed(protocol)
      for (const step of ["connect", "protocol", "prepare"]) {
        const server = yield* TestEndpoint.make<string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          protocol: dies("protocol"),
          prepare: dies("prepare"),
          retryPolicy: Schedule.recurs(1).pipe(
            Schedule.intersect(Schedule.spaced("1 second")),
            Schedule.whileInput(({ cause, failures }: RetryPolicy.ConnectionFailure<unknown>) =>
              failures === 1 ? true : !Cause.isDie(cause)
            )
          )
        })
        const died = step === "connect" ? TestEndpoint.died("connect died") : TestEndpoint.accepted(step)
        yield* server.script(died, died)
        yield* service.start
        yield* awaitState(service, "Waiting")
        const cause = Cause.die(`${step} died`)
        expect(yield* service.state.get).toMatchObject({ failures: 1, cause })
        yield* TestClock.adjust("1 second")
        expect(yield* service.state.get).toMatchObject({ _tag: "Exhausted", failures: 2, cause })
        expect(yield* Effect.flip(service.whenConnected())).toMatchObject({ _tag: "RetriesExhausted", cause })
        const { closes, opens } = yield* counts(server)
        expect(closes).toBe(opens)
      }
    })
  )
})
