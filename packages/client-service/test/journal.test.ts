import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Random, Schedule, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { type LogEntry, withLogs } from "./support/logs.js"

const messagesOf = (entries: ReadonlyArray<LogEntry>, level: LogEntry["level"]) =>
  entries.filter((entry) => entry.level === level).map(({ message }) => message)

describe("the log", () => {
  // Kind 5: The log leaves out what matters, since it has told of something else just before.
  it.scoped("tells that the service gives up as an error, and never leaves it out", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        yield* server.script(...Array.from({ length: 11 }, () => TestEndpoint.refused("refused")))
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: { schedule: Schedule.spaced("1 second"), times: 10 }
        })
        yield* service.start
        yield* TestClock.adjust("10 seconds")
        yield* awaitState(service, "Exhausted")
        yield* settle
        expect(messagesOf(entries, "Error")).toEqual(["attempt failed, giving up"])
        expect(messagesOf(entries, "Warning")).toHaveLength(1)
      })
    )
  )

  // Kind 5
  it.scoped("leaves out what repeats itself within a minute, and nothing else", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        yield* server.script(...Array.from({ length: 200 }, () => TestEndpoint.refused("refused")))
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: RetryPolicy.fromFunction(() => {
            throw new Error("broken")
          })
        })
        yield* service.start
        yield* TestClock.adjust("59 seconds")
        yield* settle
        const told = messagesOf(entries, "Warning").map((message) => message.replace(/,.*/, ""))
        expect(told.sort()).toEqual(["attempt failed", "retry policy broken"])
      })
    )
  )

  it.scoped("tells once that a service is waited for that nobody has started", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({ endpoint: server.endpoint })
        const waiters = yield* Effect.replicateEffect(Effect.fork(service.use(Effect.succeed)), 3)
        yield* settle
        expect(messagesOf(entries, "Warning")).toEqual(["waited for, and not started yet"])
        yield* service.start
        yield* server.accept("first")
        expect(yield* Effect.map(Fiber.joinAll(waiters), (protocols) => [...protocols])).toEqual(Array(3).fill("first"))
      })
    )
  )

  it.scoped("does not tell of what a use fails with, which its caller hears", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({ endpoint: server.endpoint })
        yield* service.start
        yield* server.accept("protocol")
        yield* awaitState(service, "Connected")
        const before = entries.length
        const failures: ReadonlyArray<() => Effect.Effect<never, string>> = [
          () => Effect.fail("at once"),
          () => Effect.zipRight(Effect.yieldNow(), Effect.fail("later")),
          () => Effect.die("died"),
          () => {
            throw new Error("thrown")
          }
        ]
        for (const fail of failures) yield* Effect.exit(service.use(fail))
        const lost = yield* Effect.fork(Effect.exit(service.use(() => Effect.never)))
        yield* settle
        yield* service.stop
        yield* Fiber.join(lost)
        expect(messagesOf(entries.slice(before), "Debug")).toEqual(["disconnecting", "stopped"])
      })
    )
  )

  it.scoped("tells once that a policy grants more than 100 attempts in a second", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        yield* server.script(...Array.from({ length: 500 }, () => TestEndpoint.refused("refused")))
        const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: Schedule.forever })
        yield* service.start
        while ((yield* server.attempts) <= 500) yield* settle
        expect(
          messagesOf(entries, "Warning").filter((message) => message.includes("more than 100 attempts in a second"))
        ).toHaveLength(1)
      })
    )
  )

  it.scoped("does not tell that of 100 attempts, nor of those of several seconds", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        yield* server.script(...Array.from({ length: 300 }, () => TestEndpoint.refused("refused")))
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: RetryPolicy.fromFunction(() => "10 millis")
        })
        yield* service.start
        yield* TestClock.adjust("2990 millis")
        yield* settle
        expect(yield* server.attempts).toBeGreaterThan(250)
        expect(messagesOf(entries, "Warning").some((message) => message.includes("100 attempts"))).toBe(false)
      })
    )
  )
})

describe("an attempt that waits for its own connection", () => {
  const waits = {
    use: (service: ClientService.ClientService<string, string>) => service.use(Effect.succeed),
    usePromise: (service: ClientService.ClientService<string, string>) =>
      service.usePromise(async (protocol) => protocol),
    whenConnected: (service: ClientService.ClientService<string, string>) => service.whenConnected(),
    "use, within a timeout": (service: ClientService.ClientService<string, string>) =>
      Effect.timeout(service.use(Effect.succeed), "1 hour")
  }

  for (const [name, wait] of Object.entries(waits)) {
    it.scoped(`fails, instead of hanging: ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        yield* server.script(TestEndpoint.accepted("first"))
        let self: ClientService.ClientService<string, string> | undefined
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          prepare: () => (self === undefined ? Effect.void : Effect.ignore<unknown, unknown, never>(wait(self))),
          retryPolicy: Schedule.spaced("1 second")
        })
        self = service
        yield* service.start
        yield* awaitState(service, "Waiting")
        const state = yield* service.state.get
        expect(state._tag === "Waiting" && Cause.pretty(state.cause)).toContain(
          "test: an attempt to connect waits for its own connection"
        )
      })
    )
  }

  it.scoped("may leave a fiber behind that does", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const got: Array<string> = []
      let self: ClientService.ClientService<string, string> | undefined
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        prepare: () =>
          self === undefined
            ? Effect.void
            : Effect.forkScoped(self.use((protocol) => Effect.sync(() => got.push(protocol))))
      })
      self = service
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* settle
      expect(got).toEqual(["first"])
    })
  )
})

describe("ConnectTimeout", () => {
  for (const stage of ["connect", "protocol", "prepare"] as const) {
    it.scoped(`tells that it was ${stage} that hung`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        yield* server.script(stage === "connect" ? TestEndpoint.hung : TestEndpoint.accepted("first"))
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          protocol: (protocol) => (stage === "protocol" ? Effect.never : Effect.succeed(protocol)),
          prepare: () => (stage === "prepare" ? Effect.never : Effect.void),
          connectTimeout: "1 second"
        })
        yield* service.start
        const waiter = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(waiter)).toMatchObject({ _tag: "ConnectTimeout", stage })
      })
    )
  }
})

describe("a policy whose interval has begun", () => {
  const halfPastNine = new Date(2026, 0, 5, 9, 30, 15, 500).getTime()
  const schedules = {
    hourOfDay: Schedule.hourOfDay(9),
    dayOfWeek: Schedule.dayOfWeek(1),
    dayOfMonth: Schedule.dayOfMonth(5),
    minuteOfHour: Schedule.minuteOfHour(30),
    secondOfMinute: Schedule.secondOfMinute(15),
    "a union with one": Schedule.union(Schedule.spaced("1 minute"), Schedule.hourOfDay(9))
  }
  for (const [name, retryPolicy] of Object.entries(schedules)) {
    it.scoped(`means no delay: ${name}`, () =>
      withLogs((entries) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(halfPastNine)
          const server = yield* TestEndpoint.make<string, string>()
          const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy })
          yield* service.start
          yield* server.refuse("refused")
          yield* settle
          expect(yield* server.attempts).toBe(2)
          expect(messagesOf(entries, "Warning").some((message) => message.includes("policy"))).toBe(false)
        })
      )
    )
  }
})

describe("a Random that dies", () => {
  const dying: Random.Random = {
    ...Random.make("seed"),
    next: Effect.die("no chance"),
    nextRange: () => Effect.die("no chance"),
    nextIntBetween: () => Effect.die("no chance")
  }

  it.scoped("costs a service neither its delays nor the replacement of its connection", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, maxAge: "1 hour" })
      yield* service.start
      yield* server.refuse("refused")
      yield* TestClock.adjust("1 second")
      const first = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("1 hour")
      const second = yield* server.accept("second")
      yield* settle
      expect(yield* service.whenConnected()).toBe("second")
      expect(yield* first.closed).toBe(true)
      yield* second.drop()
      yield* awaitState(service, "Waiting")
    }).pipe(Effect.withRandom(dying))
  )
})
