import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Schedule,
  Scope,
  Stream,
  TestClock,
  Tracer
} from "effect"
import { ClientService, Endpoint, InvalidOption, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { type LogEntry, withLogs } from "./support/logs.js"
import { scheduleOf } from "./support/schedules.js"
import { withTimers } from "./support/timers.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

/** A service that retries every second, over a test endpoint. */
const make = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond })
  return { server, service }
})

const makeConnected = Effect.gen(function* () {
  const { server, service } = yield* make
  yield* service.start
  const connection = yield* server.accept("first")
  yield* awaitState(service, "Connected")
  return { server, service, connection }
})

describe("whenConnected", () => {
  it.scoped("gives the protocol of the connection there is", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      expect(yield* service.whenConnected()).toBe("first")
      expect(yield* service.whenConnected({ failAfterFailures: 1 })).toBe("first")
    })
  )

  it.scoped("waits for a service that is not started yet", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* settle
      expect(waiter.unsafePoll()).toBeNull()
      yield* service.start
      yield* server.accept("first")
      expect(yield* Fiber.join(waiter)).toBe("first")
    })
  )

  it.scoped("waits through failures when it is not told how many", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* service.start
      for (let i = 0; i < 10; i++) {
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
      }
      yield* server.accept("first")
      expect(yield* Fiber.join(waiter)).toBe("first")
    })
  )

  it.scoped("keeps the cause of an attempt that dies", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      const waiter = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      yield* server.script(TestEndpoint.died("boom"))
      const exit = yield* Fiber.await(waiter)
      expect(exit).toEqual(Exit.die("boom"))
    })
  )

  it.scoped("never gives a protocol whose loss was signalled", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* makeConnected
      yield* connection.drop()
      // The service has not noticed yet.
      expect((yield* service.state.get)._tag).toBe("Connected")
      expect(yield* service.protocol.get).toEqual(Option.none())
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      expect(yield* Fiber.join(waiter)).toBe("second")
    })
  )

  it.scoped("gives a waiter nothing that is lost before the waiter runs", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* service.start
      yield* server.script((signal, open) =>
        Effect.as(
          Effect.tap(open(), () =>
            service.state.changes.pipe(
              Stream.filter((state) => state._tag === "Connected"),
              Stream.runForEach(() => Effect.sync(() => signal.lost())),
              Effect.forkScoped
            )
          ),
          "doomed"
        )
      )
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      expect(["doomed", "second"]).toContain(yield* Fiber.join(waiter))
    })
  )

  for (const options of [undefined, { failAfterFailures: 3 }]) {
    const name = options === undefined ? "" : ", counting failures,"
    it.scoped(`a waiter${name} fails with ServiceStopped when the service stops, in whatever state`, () =>
      Effect.gen(function* () {
        const wait = (service: ClientService.ClientService<string, string>) =>
          options === undefined ? service.whenConnected() : service.whenConnected(options)

        const idle = yield* make
        const inInit = yield* Effect.fork(wait(idle.service))
        yield* settle
        yield* idle.service.stop

        const connecting = yield* make
        yield* connecting.service.start
        const inConnecting = yield* Effect.fork(wait(connecting.service))
        yield* settle
        yield* connecting.service.stop

        const waiting = yield* make
        yield* waiting.service.start
        yield* waiting.server.refuse("refused")
        yield* awaitState(waiting.service, "Waiting")
        const inWaiting = yield* Effect.fork(wait(waiting.service))
        yield* settle
        yield* waiting.service.stop

        for (const waiter of [inInit, inConnecting, inWaiting]) {
          expect(yield* Effect.flip(Fiber.join(waiter))).toMatchObject({ _tag: "ServiceStopped", service: "test" })
        }
        expect(yield* Effect.flip(wait(idle.service))).toMatchObject({ _tag: "ServiceStopped" })
      })
    )
  }

  it.scoped("a waiter of a service that restarts goes on waiting", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { server, service } = yield* make
      yield* service.start
      yield* server.accept("first", { close: Deferred.await(gate) })
      yield* awaitState(service, "Connected")
      yield* Effect.fork(service.stop)
      yield* awaitState(service, "Disconnecting")
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* service.start
      yield* Deferred.succeed(gate, undefined)
      yield* server.accept("second")
      expect(yield* Fiber.join(waiter)).toBe("second")
    })
  )

  it.scoped("fails with RetriesExhausted once the policy has ended, and at once afterwards", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: Schedule.recurs(1) })
      yield* service.start
      const waiter = yield* Effect.fork(service.whenConnected())
      const counting = yield* Effect.fork(service.whenConnected({ failAfterFailures: 2 }))
      yield* server.refuse("first")
      yield* server.refuse("second")
      const expected = { _tag: "RetriesExhausted", service: "test", failures: 2, cause: Cause.fail("second") }
      expect(yield* Effect.flip(Fiber.join(waiter))).toMatchObject(expected)
      expect(yield* Effect.flip(Fiber.join(counting))).toBe("second")
      expect(yield* Effect.flip(service.whenConnected())).toMatchObject(expected)
      expect(yield* service.running).toBe(false)
    })
  )

  it.scoped("an interrupted waiter is gone", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      const interrupted = yield* Effect.fork(service.whenConnected())
      const counting = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* settle
      yield* Fiber.interrupt(interrupted)
      yield* Fiber.interrupt(counting)
      yield* server.accept("first")
      expect(yield* Fiber.join(waiter)).toBe("first")
    })
  )

  for (const failAfterFailures of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    it.scoped(`refuses failAfterFailures: ${failAfterFailures}`, () =>
      Effect.gen(function* () {
        const { service } = yield* make
        expect(() => service.whenConnected({ failAfterFailures })).toThrow(
          `failAfterFailures must be an integer of at least 1, got ${failAfterFailures}`
        )
      })
    )
  }
})

describe("use", () => {
  it.scoped("waits for a connection and gives what the function gives", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      const use = yield* Effect.fork(service.use((protocol) => Effect.succeed(protocol.length)))
      yield* service.start
      yield* server.accept("first")
      expect(yield* Fiber.join(use)).toBe(5)
    })
  )

  it.scoped("fails as the function fails", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      expect(yield* Effect.flip(service.use(() => Effect.fail("mine" as const)))).toBe("mine")
    })
  )

  it.scoped("fails with ConnectionLost when the service stops, with the reason as the cause", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      const use = yield* Effect.fork(service.use(() => Effect.never))
      yield* settle
      yield* service.stop
      const error = yield* Effect.flip(Fiber.join(use))
      expect(error).toMatchObject({ _tag: "ConnectionLost", cause: { _tag: "ServiceStopped" } })
      expect(String(error)).toBe("ConnectionLost: test: the connection was lost: the service is stopped")
    })
  )

  it.scoped("fails with ConnectionLost when the connection is replaced", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      const use = yield* Effect.fork(service.use(() => Effect.never))
      yield* settle
      yield* service.reconnect
      expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "ConnectionLost" })
    })
  )

  it.scoped("does not hang in an uninterruptible region", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      expect(yield* Effect.uninterruptible(service.use(Effect.succeed))).toBe("first")
    })
  )

  it.scoped("a function that throws dies and leaves the service as it was", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      const exit = yield* Effect.exit(
        service.use((): Effect.Effect<never> => {
          throw new Error("mine")
        })
      )
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      expect(yield* service.whenConnected()).toBe("first")
    })
  )
})

describe("connections", () => {
  it.scoped("gives the protocol of each connection, and the newest to a slow consumer", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* makeConnected
      const seen: Array<string> = []
      const gate = yield* Deferred.make<void>()
      yield* service.connections.pipe(
        Stream.runForEach((protocol) =>
          Effect.zipRight(
            Effect.sync(() => seen.push(protocol)),
            protocol === "first" ? Deferred.await(gate) : Effect.void
          )
        ),
        Effect.fork
      )
      yield* settle
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      const second = yield* server.accept("second")
      yield* awaitState(service, "Connected")
      yield* second.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("third")
      yield* awaitState(service, "Connected")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect(seen).toEqual(["first", "third"])
    })
  )

  it.scoped("gives each connection once", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      const seen: Array<string> = []
      yield* Effect.fork(Stream.runForEach(service.connections, (protocol) => Effect.sync(() => seen.push(protocol))))
      yield* settle
      expect(seen).toEqual(["first"])
    })
  )

  it.scoped("fails with ServiceStopped when the service stops", () =>
    Effect.gen(function* () {
      const { service } = yield* makeConnected
      const consumer = yield* Effect.fork(Stream.runCollect(service.connections))
      yield* settle
      yield* service.stop
      expect(yield* Effect.flip(Fiber.join(consumer))).toMatchObject({ _tag: "ServiceStopped" })
    })
  )
})

describe("state and protocol", () => {
  it.scoped("state tells the current state first, then every change", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      const states = yield* Effect.fork(Stream.runCollect(Stream.take(service.state.changes, 6)))
      yield* settle
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* service.stop
      expect(Chunk.toReadonlyArray(yield* Fiber.join(states))).toMatchObject([
        { _tag: "Init" },
        { _tag: "Connecting", attempt: 1, failures: 0 },
        { _tag: "Waiting", failures: 1, delay: Duration.seconds(1), retryAt: 1000, cause: Cause.fail("refused") },
        { _tag: "Connecting", attempt: 2, failures: 1 },
        { _tag: "Connected", protocol: "first", generation: 1, connectedAt: 1000 },
        { _tag: "Disconnecting" }
      ])
    })
  )

  it.scoped("protocol follows the connection", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      const protocols = yield* Effect.fork(Stream.runCollect(Stream.take(service.protocol.changes, 3)))
      yield* settle
      expect(yield* service.protocol.get).toEqual(Option.none())
      yield* service.start
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      expect(yield* service.protocol.get).toEqual(Option.some("first"))
      yield* connection.drop()
      expect(Chunk.toReadonlyArray(yield* Fiber.join(protocols))).toEqual([
        Option.none(),
        Option.some("first"),
        Option.none()
      ])
    })
  )

  it.scoped("running is true between start and stop", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      expect(yield* service.running).toBe(false)
      yield* service.start
      expect(yield* service.running).toBe(true)
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      expect(yield* service.running).toBe(true)
      yield* service.stop
      expect(yield* service.running).toBe(false)
    })
  )

  it.scoped("toJSON tells no protocol and no cause", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      yield* server.refuse("secret")
      yield* awaitState(service, "Waiting")
      const snapshot = { _id: "ClientService", name: "test", state: "Waiting", attempt: 1, failures: 1, generation: 0 }
      expect(service.toJSON()).toEqual(snapshot)
      expect(JSON.parse(String(service))).toEqual(snapshot)
    })
  )
})

describe("an attempt", () => {
  it.scoped("makes the protocol and prepares it, in the Scope of the connection", () =>
    Effect.gen(function* () {
      const steps: Array<string> = []
      const step = (name: string) =>
        Effect.acquireRelease(
          Effect.sync(() => steps.push(name)),
          () => Effect.sync(() => steps.push(`${name} released`))
        )
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({ name: "steps", connect: () => Effect.as(step("connect"), "transport") }),
        protocol: (transport) => Effect.as(step("protocol"), `protocol over ${transport}`),
        prepare: (protocol) => step(`prepare ${protocol}`)
      })
      yield* service.start
      expect(yield* service.whenConnected()).toBe("protocol over transport")
      yield* service.stop
      expect(steps).toEqual([
        "connect",
        "protocol",
        "prepare protocol over transport",
        "prepare protocol over transport released",
        "protocol released",
        "connect released"
      ])
    })
  )

  for (const failing of ["fails", "dies", "throws", "is interrupted"]) {
    it.scoped(`that ${failing} in prepare is closed before the service waits`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          prepare: (): Effect.Effect<void, string> => {
            if (failing === "throws") throw new Error("thrown")
            if (failing === "dies") return Effect.die("dead")
            return failing === "fails" ? Effect.fail("failed") : Effect.interrupt
          },
          retryPolicy: everySecond
        })
        const closes = yield* service.state.changes.pipe(
          Stream.filter((state) => state._tag === "Waiting"),
          Stream.mapEffect(() => server.closes),
          Stream.runHead,
          Effect.fork
        )
        yield* settle
        yield* service.start
        yield* server.accept("first")
        expect(yield* Fiber.join(closes)).toEqual(Option.some(1))
      })
    )
  }

  it.scoped("that is lost meanwhile fails", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        prepare: () => Effect.never,
        retryPolicy: everySecond
      })
      yield* service.start
      const waiter = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      const connection = yield* server.accept("first")
      yield* settle
      yield* connection.drop("cut")
      expect(yield* Effect.flip(Fiber.join(waiter))).toBe("cut")
      yield* connection.awaitClosed
    })
  )

  it.scoped("that takes longer than connectTimeout fails with ConnectTimeout, prepare included", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        prepare: () => Effect.never,
        connectTimeout: "3 seconds",
        retryPolicy: everySecond
      })
      yield* service.start
      const waiter = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      const connection = yield* server.accept("first")
      yield* settle
      yield* TestClock.adjust("2999 millis")
      expect(waiter.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      const error = yield* Effect.flip(Fiber.join(waiter))
      expect(error).toMatchObject({ _tag: "ConnectTimeout", service: "test", duration: Duration.seconds(3) })
      expect(yield* connection.closed).toBe(true)
    })
  )

  it.scoped("that ignores its interruption holds up the next for ever if closeTimeout is infinite", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        connectTimeout: "1 second",
        closeTimeout: Duration.infinity,
        retryPolicy: everySecond
      })
      yield* server.script(
        TestEndpoint.uninterruptible(TestEndpoint.delayed(TestEndpoint.accepted("late"), "1 day")),
        TestEndpoint.accepted("second")
      )
      yield* service.start
      yield* TestClock.adjust("23 hours")
      expect(yield* server.attempts).toBe(1)
      yield* TestClock.adjust("2 hours")
      expect(yield* server.attempts).toBe(2)
      expect([yield* server.opens, yield* server.closes]).toEqual([2, 1])
    })
  )

  it.scoped("ignores the late signal of an earlier connection", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* makeConnected
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      yield* awaitState(service, "Connected")
      yield* connection.drop("late")
      yield* settle
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  it.scoped("counts the first signal of a loss alone", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* makeConnected
      yield* connection.drop("first")
      yield* connection.drop("second")
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ _tag: "Waiting", failures: 1, cause: Cause.fail("first") })
    })
  )

  it.scoped("without an error of its own is a ConnectionLost", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* makeConnected
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ cause: { error: { _tag: "ConnectionLost", service: "test" } } })
    })
  )
})

describe("the retry policy", () => {
  /** A service whose policy tells what it is asked. */
  const makeAsked = (options?: { readonly resetAfter?: Duration.DurationInput }) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const asked: Array<number> = []
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.fromFunction((failures) => {
          asked.push(failures)
          return 1000
        }),
        ...options
      })
      yield* service.start
      const fail = Effect.gen(function* () {
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust(1000)
      })
      const lose = (after: Duration.DurationInput) =>
        Effect.gen(function* () {
          const connection = yield* server.accept("protocol")
          yield* awaitState(service, "Connected")
          yield* TestClock.adjust(after)
          yield* connection.drop()
          yield* awaitState(service, "Waiting")
          yield* TestClock.adjust(1000)
        })
      return { asked, fail, lose }
    })

  it.scoped("is asked with the failures in a row, from 1", () =>
    Effect.gen(function* () {
      const { asked, fail } = yield* makeAsked()
      yield* fail
      yield* fail
      yield* fail
      expect(asked).toEqual([1, 2, 3])
    })
  )

  it.scoped("begins afresh after a connection that stayed up for resetAfter, and not after one lost earlier", () =>
    Effect.gen(function* () {
      const { asked, fail, lose } = yield* makeAsked({ resetAfter: "5 seconds" })
      yield* fail
      yield* fail
      yield* lose("4999 millis")
      yield* fail
      yield* lose("5 seconds")
      yield* fail
      expect(asked).toEqual([1, 2, 3, 4, 1, 2])
    })
  )

  it.scoped("begins afresh after every connection if resetAfter is 0", () =>
    Effect.gen(function* () {
      const { asked, fail, lose } = yield* makeAsked({ resetAfter: 0 })
      yield* fail
      yield* lose(0)
      yield* lose(0)
      yield* fail
      expect(asked).toEqual([1, 1, 1, 2])
    })
  )

  it.scoped("is a schedule that begins afresh with its state", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: Schedule.exponential("1 second")
      })
      const delays: Array<number> = []
      yield* service.state.changes.pipe(
        Stream.runForEach((state) =>
          Effect.sync(() => state._tag === "Waiting" && delays.push(Duration.toMillis(state.delay)))
        ),
        Effect.fork
      )
      yield* service.start
      for (const delay of [1000, 2000, 4000]) {
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust(delay)
      }
      const connection = yield* server.accept("protocol")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("1 hour")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      expect(delays).toEqual([1000, 2000, 4000, 1000])
    })
  )

  it.scoped("begins afresh at start", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: Schedule.recurs(1) })
      for (let i = 0; i < 3; i++) {
        yield* service.start
        yield* server.refuse("first")
        yield* server.refuse("second")
        yield* awaitState(service, "Exhausted")
      }
      expect(yield* server.attempts).toBe(6)
    })
  )

  it.scoped("of no delay costs no timer, and the service still lets others run", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: Schedule.forever })
        yield* service.start
        for (let i = 0; i < 100; i++) yield* server.refuse("refused")
        yield* server.accept("first")
        yield* awaitState(service, "Connected")
        expect(timers.pending()).toBe(0)
        expect((yield* service.state.get)._tag).toBe("Connected")
      })
    )
  )

  /** A service whose first attempt was refused. */
  const refused = (retryPolicy: RetryPolicy.RetryPolicy<unknown>) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy })
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      return { server, service }
    })

  const brokenPolicies = (entries: ReadonlyArray<LogEntry>) =>
    entries.filter(({ message }) => message.startsWith("retry policy broken"))

  const broken: Record<string, RetryPolicy.RetryPolicy<unknown>> = {
    dies: Schedule.tapInput(Schedule.forever, () => Effect.die("broken")),
    throws: RetryPolicy.fromFunction(() => {
      throw new Error("broken")
    }),
    "is interrupted": Schedule.tapInput(Schedule.forever, () => Effect.interrupt),
    "gives NaN": RetryPolicy.fromFunction(() => Number.NaN),
    "gives a negative delay": RetryPolicy.fromFunction(() => -1),
    "gives a negative text": RetryPolicy.fromFunction(() => "-1 seconds"),
    "gives an infinite delay": RetryPolicy.fromFunction(() => Duration.infinity),
    "is a schedule of an infinite delay": Schedule.spaced(Duration.infinity)
  }
  for (const [name, retryPolicy] of Object.entries(broken)) {
    it.scoped(`that ${name} is logged, and the default policy answers`, () =>
      withLogs((entries) =>
        Effect.gen(function* () {
          const { server, service } = yield* refused(retryPolicy)
          expect(brokenPolicies(entries)).toHaveLength(1)
          yield* TestClock.adjust("500 millis")
          yield* server.accept("first")
          expect(yield* service.whenConnected()).toBe("first")
        })
      )
    )
  }

  it.scoped("that stops the service and then never answers is interrupted", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const interrupted = yield* Deferred.make<void>()
      const service: ClientService.ClientService<string, string> = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: Schedule.tapInput(Schedule.forever, () =>
          Effect.suspend(() => service.stop).pipe(
            Effect.zipRight(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
        )
      })
      yield* service.start
      yield* server.refuse("refused")
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Stopped")
      expect(yield* Deferred.isDone(interrupted)).toBe(true)
    })
  )

  it.scoped("that never answers is given up after connectTimeout, and the default policy answers", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          connectTimeout: "10 seconds",
          retryPolicy: Schedule.tapInput(Schedule.forever, () => Effect.never)
        })
        yield* service.start
        yield* server.refuse("refused")
        yield* settle
        yield* TestClock.adjust("10 seconds")
        yield* awaitState(service, "Waiting")
        expect(brokenPolicies(entries)).toMatchObject([{ cause: { defect: { message: "no answer within 10s" } } }])
      })
    )
  )

  it.scoped("that takes its time to answer is waited for, and its delay counts from the failure", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        connectTimeout: "10 seconds",
        retryPolicy: Schedule.tapInput(Schedule.spaced("5 seconds"), () => Effect.sleep("1 second"))
      })
      yield* service.start
      yield* server.refuse("refused")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      expect(yield* service.state.get).toMatchObject({ _tag: "Waiting", retryAt: 5000 })
    })
  )

  const senseless: Record<string, Schedule.Schedule<unknown>> = {
    Infinity: Schedule.spaced(Duration.infinity),
    "-5": scheduleOf(-5)
  }
  for (const [delay, retryPolicy] of Object.entries(senseless)) {
    it.scoped(`is told in the log that its delay is ${delay} ms`, () =>
      withLogs((entries) =>
        Effect.gen(function* () {
          yield* refused(retryPolicy)
          expect(brokenPolicies(entries)).toMatchObject([{ cause: { defect: { message: `a delay of ${delay} ms` } } }])
        })
      )
    )
  }
})

describe("stop", () => {
  it.scoped("completes when the connection is closed", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      yield* server.accept("first", { close: Effect.sleep("3 seconds") })
      yield* awaitState(service, "Connected")
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      yield* TestClock.adjust("2999 millis")
      expect(stop.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(stop)
      expect(yield* server.closes).toBe(1)
    })
  )

  it.scoped("interrupted, goes on stopping", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      yield* server.accept("first", { close: Effect.sleep("1 second") })
      yield* awaitState(service, "Connected")
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      yield* Fiber.interrupt(stop)
      yield* TestClock.adjust("1 second")
      yield* awaitState(service, "Stopped")
    })
  )

  it.scoped("leaves no timer and no attempt, and nothing happens later", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        for (const state of ["Connecting", "Waiting", "Connected"]) {
          const { server, service } = yield* make
          yield* service.start
          if (state === "Waiting") yield* server.refuse("refused")
          if (state === "Connected") yield* server.accept("first")
          yield* settle
          yield* service.stop
          const attempts = yield* server.attempts
          expect(timers.pending()).toBe(0)
          yield* TestClock.adjust("1 day")
          expect(yield* server.attempts).toBe(attempts)
          expect((yield* service.state.get)._tag).toBe("Stopped")
        }
      })
    )
  )

  it.scoped("may be called from prepare, a waiter, an observer and a finalizer", () =>
    Effect.gen(function* () {
      const self = yield* Deferred.make<ClientService.ClientService<string, string>>()
      const stopSelf = Effect.flatMap(Deferred.await(self), (service) => service.stop)
      const server = yield* TestEndpoint.make<string, string>()
      let stopInPrepare = true
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        prepare: () => (stopInPrepare ? stopSelf : Effect.void)
      })
      yield* Deferred.succeed(self, service)

      yield* service.start
      const prepared = yield* server.accept("first")
      yield* awaitState(service, "Stopped")
      expect(yield* prepared.closed).toBe(true)

      stopInPrepare = false
      yield* service.start
      const waiter = yield* Effect.fork(Effect.zipRight(service.whenConnected(), service.stop))
      yield* server.accept("second")
      yield* Fiber.join(waiter)

      const observer = yield* service.state.changes.pipe(
        Stream.filter((state) => state._tag === "Connected"),
        Stream.take(1),
        Stream.runForEach(() => service.stop),
        Effect.fork
      )
      yield* settle
      yield* service.start
      yield* server.accept("third")
      yield* Fiber.join(observer)

      yield* service.start
      yield* server.accept("fourth", { close: Effect.forkDaemon(service.stop) })
      yield* awaitState(service, "Connected")
      yield* service.stop
      expect((yield* service.state.get)._tag).toBe("Stopped")
      expect([yield* server.opens, yield* server.closes]).toEqual([4, 4])
    })
  )

  it.scoped("and start from many fibers never make two loops", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* server.script(...Array.from({ length: 1000 }, (_, i) => TestEndpoint.accepted(`${i}`)))
      yield* Effect.forEach(
        Array.from({ length: 200 }, (_, i) => i),
        (i) => (i % 2 === 0 ? service.start : service.stop),
        { concurrency: "unbounded" }
      )
      yield* service.start
      yield* service.whenConnected()
      const [opens, closes] = [yield* server.opens, yield* server.closes]
      expect(opens - closes).toBe(1)
      yield* service.stop
      expect(yield* server.closes).toBe(opens)
    })
  )
})

describe("start", () => {
  it.scoped("of a running service logs a warning", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const { service } = yield* make
        yield* service.start
        yield* service.start
        expect(entries.filter(({ level }) => level === "Warning").map(({ message }) => message)).toEqual([
          "already running"
        ])
      })
    )
  )

  it.scoped("does nothing after the owner Scope has closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { server, service } = yield* Scope.extend(makeConnected, scope)
      const waiter = yield* Effect.fork(
        service.state.changes.pipe(
          Stream.takeUntil((s) => s._tag === "Stopped"),
          Stream.runDrain
        )
      )
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(waiter)
      yield* service.start
      expect((yield* service.state.get)._tag).toBe("Stopped")
      expect(yield* service.running).toBe(false)
      expect(yield* Effect.flip(service.whenConnected())).toMatchObject({ _tag: "ServiceStopped" })
      expect([yield* server.opens, yield* server.closes, yield* server.attempts]).toEqual([1, 1, 1])
    })
  )
})

describe("reconnect", () => {
  it.scoped("replaces a connection after it is closed", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      yield* server.accept("first", { close: Effect.sleep("1 second") })
      yield* awaitState(service, "Connected")
      yield* service.reconnect
      expect((yield* service.state.get)._tag).toBe("Connecting")
      yield* settle
      expect(yield* server.attempts).toBe(1)
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  it.scoped("does not count as a failure", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeConnected
      yield* service.reconnect
      expect(yield* service.state.get).toMatchObject({ _tag: "Connecting", attempt: 2, failures: 0 })
      yield* server.accept("second")
      yield* awaitState(service, "Connected")
    })
  )

  describe("while the policy is asked", () => {
    /** A service whose policy takes ten seconds to answer, from the second failure on. */
    const makeSlow = Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const asked: Array<number> = []
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: Schedule.tapInput(
          Schedule.spaced("1 second"),
          ({ failures }: RetryPolicy.ConnectionFailure<unknown>) => {
            asked.push(failures)
            return failures === 1 ? Effect.void : Effect.sleep("10 seconds")
          }
        ),
        resetAfter: "5 seconds",
        connectTimeout: "1 minute"
      })
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      return { asked, server, service }
    })

    it.scoped("counts a loss by how long the connection had lived, and keeps its cause", () =>
      Effect.gen(function* () {
        const { asked, server, service } = yield* makeSlow
        const connection = yield* server.accept("first")
        yield* awaitState(service, "Connected")
        yield* connection.drop("dropped")
        yield* settle
        yield* TestClock.adjust("6 seconds")
        yield* service.reconnect
        expect(asked).toEqual([1, 2])
        const state = { attempt: 3, failures: 2, cause: Option.some(Cause.fail("dropped")) }
        expect(yield* service.state.get).toMatchObject({ _tag: "Connecting", ...state })
      })
    )

    it.scoped("counts the attempt that failed, and keeps its cause", () =>
      Effect.gen(function* () {
        const { server, service } = yield* makeSlow
        yield* server.refuse("refused again")
        yield* settle
        yield* service.reconnect
        const state = { attempt: 3, failures: 2, cause: Option.some(Cause.fail("refused again")) }
        expect(yield* service.state.get).toMatchObject({ _tag: "Connecting", ...state })
        // The one that it has begun is not failed, and is begun anew when it is old enough.
        yield* service.reconnect
        expect(yield* service.state.get).toMatchObject({ attempt: 3 })
      })
    )
  })
})

describe("closeTimeout", () => {
  it.scoped("is how long the next attempt waits for a close, from the time that this began", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: everySecond,
        closeTimeout: "3 seconds"
      })
      yield* service.start
      const connection = yield* server.accept("first", { close: Effect.never })
      yield* awaitState(service, "Connected")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("2999 millis")
      expect((yield* service.state.get)._tag).toBe("Connecting")
      expect(yield* server.attempts).toBe(1)
      yield* TestClock.adjust("1 millis")
      expect(yield* server.attempts).toBe(2)
    })
  )

  it.scoped("keeps a stop from completing while a lost connection is closing", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      const connection = yield* server.accept("first", { close: Effect.sleep("2 seconds") })
      yield* awaitState(service, "Connected")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      const stop = yield* Effect.fork(service.stop)
      yield* awaitState(service, "Disconnecting")
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(stop)
      expect(yield* server.closes).toBe(1)
    })
  )
})

describe("logs and spans", () => {
  it.scoped("tell what happened to which connection", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const { server, service } = yield* make
        yield* service.start
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
        const connection = yield* server.accept("first")
        yield* awaitState(service, "Connected")
        yield* TestClock.adjust("1 minute")
        yield* connection.drop("cut")
        yield* awaitState(service, "Waiting")
        yield* service.stop
        expect(entries.map(({ level, message }) => `${level}: ${message}`)).toEqual([
          "Debug: connecting",
          "Warning: attempt failed, next attempt in 1s",
          "Debug: connecting",
          "Info: connected",
          "Warning: connection lost, next attempt in 1s",
          "Debug: stopped"
        ])
        expect(entries[3]?.annotations).toEqual({ service: "test", endpoint: "test", attempt: 2, generation: 1 })
        expect(entries[4]?.cause).toEqual(Cause.fail("cut"))
      })
    )
  )

  it.scoped("a logger or a tracer that throws does not end the service", () =>
    Effect.gen(function* () {
      const logger = Logger.make(() => {
        throw new Error("logger")
      })
      const tracer = Tracer.make({
        span: () => {
          throw new Error("tracer")
        },
        context: (f) => f()
      })
      const { server, service } = yield* make.pipe(
        Effect.withTracer(tracer),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      expect(yield* service.whenConnected()).toBe("first")
    })
  )

  it.scoped("there is a span for each attempt, linked to the one before, and over its steps", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.Span> = []
      const parents: Array<string> = []
      const events: Array<string> = []
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        protocol: Effect.succeed,
        prepare: () => Effect.map(Effect.currentSpan, (span) => parents.push(span.spanId)),
        retryPolicy: everySecond,
        connectionSpan: true
      }).pipe(
        Effect.withTracer(
          Tracer.make({
            span: (name, parent, context, links, startTime, kind) => {
              let status: Tracer.SpanStatus = { _tag: "Started", startTime }
              const attributes = new Map<string, unknown>()
              const span: Tracer.Span = {
                _tag: "Span",
                name,
                spanId: `span ${spans.length}`,
                traceId: "trace",
                parent,
                context,
                links: [...links],
                sampled: true,
                kind,
                attributes,
                get status() {
                  return status
                },
                end: (endTime, exit) => {
                  status = { _tag: "Ended", startTime, endTime, exit }
                },
                attribute: (key, value) => attributes.set(key, value),
                event: (event) => events.push(`${name} ${spans.indexOf(span)}: ${event}`),
                addLinks: () => {}
              }
              spans.push(span)
              return span
            },
            context: (f) => f()
          })
        )
      )
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      expect(parents).toEqual(["span 1"])
      yield* connection.drop("cut")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      yield* awaitState(service, "Connected")
      yield* service.stop

      const summary = spans.map(({ links, name, status }) => [
        name.replace("ClientService.", ""),
        links.map(({ span }) => span.spanId).join(),
        status._tag === "Ended" && Exit.isSuccess(status.exit)
      ])
      expect(summary).toEqual([
        ["attempt", "", false],
        ["attempt", "span 0", true],
        ["connection", "span 1", false],
        ["attempt", "span 1", true],
        ["connection", "span 3", true]
      ])
      expect(spans.every(({ parent }) => Option.isNone(parent))).toBe(true)
      expect(events.slice(0, 4)).toEqual([
        "ClientService.attempt 0: connect",
        "ClientService.attempt 1: connect",
        "ClientService.attempt 1: protocol",
        "ClientService.attempt 1: prepare"
      ])
      const told = { "client_service.name": "test", "client_service.endpoint": "test" }
      expect(spans.slice(0, 3).map(({ attributes }) => Object.fromEntries(attributes))).toMatchObject([
        { ...told, "client_service.attempt": 1, "error.type": "_OTHER" },
        { ...told, "client_service.attempt": 2 },
        { ...told, "client_service.generation": 1, "error.type": "_OTHER" }
      ])
    })
  )
})

const untyped = (value: unknown): never => value as never

describe("options", () => {
  const endpoint = Endpoint.make({ name: "test", connect: () => Effect.succeed("protocol") })

  for (const option of ["closeTimeout", "resetAfter", "drainTimeout"] as const) {
    for (const [value, printed] of [
      [-1, "-1"],
      [Number.NaN, "NaN"],
      ["-1 seconds", '"-1 seconds"']
    ] as const) {
      it(`${option}: ${value} is refused`, () => {
        expect(() => ClientService.make({ endpoint, [option]: value })).toThrow(InvalidOption.InvalidOption)
        expect(() => ClientService.make({ endpoint, [option]: value })).toThrow(
          `ClientService.make: ${option} must be a duration of zero or more, got ${printed}`
        )
      })
    }
  }

  // None would ever connect.
  it.each<[unknown, string]>([
    [0, "more than zero, got 0"],
    ["0 seconds", 'more than zero, got "0 seconds"'],
    [-1, "zero or more, got -1"]
  ])("connectTimeout: %s is refused", (connectTimeout, expected) => {
    expect(() => ClientService.make({ endpoint, connectTimeout: untyped(connectTimeout) })).toThrow(
      `ClientService.make: connectTimeout must be a duration of ${expected}`
    )
  })

  // Of a program without types, or of `any`.
  it.each<[string, object, string]>([
    ["no endpoint", { endpoint: undefined }, "endpoint.connect must be a function, got undefined"],
    ["what is no endpoint", { endpoint: "tcp://host:1" }, "endpoint.connect must be a function, got undefined"],
    ["protocol", { protocol: 5 }, "protocol must be a function, got 5"],
    ["prepare", { prepare: "SELECT 1" }, 'prepare must be a function, got "SELECT 1"'],
    [
      "heartbeat.probe",
      { heartbeat: { interval: 1, timeout: 1 } },
      "heartbeat.probe must be a function, got undefined"
    ],
    ["heartbeat", { heartbeat: null }, "heartbeat must be an object, got null"],
    ["retryPolicy.while", { retryPolicy: { while: true } }, "retryPolicy.while must be a function, got true"],
    ["retryPolicy", { retryPolicy: 5 }, "retryPolicy must be a Schedule, or { schedule?, while?, times? }, got 5"],
    [
      "retryPolicy",
      { retryPolicy: null },
      "retryPolicy must be a Schedule, or { schedule?, while?, times? }, got null"
    ],
    ["retryPolicy.schedule", { retryPolicy: { schedule: 5 } }, "retryPolicy must be a Schedule, or "]
  ])("%s is refused", (_, options, message) => {
    const make = () => ClientService.make(untyped({ endpoint, ...options }))
    expect(make).toThrow(InvalidOption.InvalidOption)
    expect(make).toThrow(`ClientService.make: ${message}`)
  })

  it("no options at all are refused", () => {
    expect(() => ClientService.make(untyped(null))).toThrow("ClientService.make: options must be an object, got null")
  })

  it("a blank name is refused", () => {
    expect(() => ClientService.make({ endpoint, name: " " })).toThrow("name must be a text that is not empty")
  })

  it("a Layer refuses them too, when it is made", () => {
    class Greeter extends ClientService.Tag("Greeter")<Greeter, string>() {}
    expect(() => Greeter.layer({ endpoint, closeTimeout: -1 })).toThrow("ClientService.layer: closeTimeout")
    expect(() => Greeter.layer({ endpoint, waitForConnection: { failAfterFailures: 0 } })).toThrow(
      "waitForConnection.failAfterFailures must be an integer of at least 1, got 0"
    )
    expect(() => Greeter.layer(untyped(null))).toThrow("ClientService.layer: options must be an object, got null")
  })
})

describe("layer", () => {
  class Greeter extends Context.Tag("test/Greeter")<Greeter, ClientService.ClientService<string, string>>() {}

  it.scoped("starts the service when it is built and stops it when it is released", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(ClientService.layer(Greeter, { endpoint: server.endpoint }), scope)
      const service = Context.get(context, Greeter)
      yield* server.accept("first")
      expect(yield* service.whenConnected()).toBe("first")
      yield* Scope.close(scope, Exit.void)
      expect(yield* server.closes).toBe(1)
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("waits for a connection if told to, and then whenConnected does not", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const layer = ClientService.layer(Greeter, { endpoint: server.endpoint, waitForConnection: {} })
      const program = yield* Effect.fork(
        Effect.provide(
          Effect.flatMap(Greeter, (service) => Effect.sync(() => Effect.runSync(service.whenConnected()))),
          layer
        )
      )
      yield* settle
      expect(program.unsafePoll()).toBeNull()
      yield* server.accept("first")
      expect(yield* Fiber.join(program)).toBe("first")
    })
  )

  it.scoped("fails with the error of the last attempt that it is allowed, and leaves nothing", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const layer = ClientService.layer(Greeter, {
        endpoint: server.endpoint,
        retryPolicy: everySecond,
        waitForConnection: { failAfterFailures: 2 }
      })
      const program = yield* Effect.fork(Effect.provide(Effect.void, layer))
      yield* server.refuse("first")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* server.refuse("second")
      expect(yield* Effect.flip(Fiber.join(program))).toBe("second")
      yield* TestClock.adjust("1 hour")
      expect(yield* server.attempts).toBe(2)
    })
  )

  it.scoped("fails with RetriesExhausted when the policy ends first", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      yield* server.script(TestEndpoint.refused("refused"))
      const layer = ClientService.layer(Greeter, {
        endpoint: server.endpoint,
        retryPolicy: Schedule.stop,
        waitForConnection: {}
      })
      expect(yield* Effect.flip(Effect.provide(Effect.void, layer))).toMatchObject({
        _tag: "RetriesExhausted",
        failures: 1
      })
    })
  )

  it.scoped("interrupts an attempt although Layers are built uninterruptibly", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      yield* Effect.uninterruptible(
        Effect.scoped(Effect.zipRight(Layer.build(ClientService.layer(Greeter, { endpoint: server.endpoint })), settle))
      )
      expect(yield* server.attempts).toBe(1)
    })
  )
})

describe("Tag", () => {
  class Greeter extends ClientService.Tag("test/TaggedGreeter")<Greeter, string, string>() {}

  it.scoped("has layer, whenConnected and use as statics", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      yield* server.script(TestEndpoint.accepted("first"))
      const program = Effect.gen(function* () {
        expect(yield* Greeter.whenConnected()).toBe("first")
        expect(yield* Greeter.whenConnected({ failAfterFailures: 1 })).toBe("first")
        expect(yield* Greeter.use((protocol) => Effect.succeed(protocol.length))).toBe(5)
        return (yield* Greeter).name
      })
      expect(yield* Effect.provide(program, Greeter.layer({ endpoint: server.endpoint, name: "greeter" }))).toBe(
        "greeter"
      )
    })
  )
})
