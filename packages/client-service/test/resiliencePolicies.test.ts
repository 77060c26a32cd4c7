import { describe, expect, it } from "@effect/vitest"
import { Cause, Config, ConfigError, ConfigProvider, Duration, Effect, Random, Schedule, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withLogs } from "./support/logs.js"
import { delaysOf } from "./support/steps.js"
import { withTimers } from "./support/timers.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

/** A started service that gives up when the error is "fatal". */
const make = (policy: RetryPolicy.RetryPolicy<unknown> = everySecond) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      retryPolicy: RetryPolicy.whileError(policy, (error) => error !== "fatal")
    })
    yield* service.start
    return { server, service }
  })

describe("whileError", () => {
  it.scoped("ends the policy at the first fatal error, without another attempt", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { server, service } = yield* make()
        for (let failure = 0; failure < 3; failure++) {
          yield* server.refuse("busy")
          yield* awaitState(service, "Waiting")
          yield* TestClock.adjust("1 second")
        }
        yield* server.refuse("fatal")
        yield* awaitState(service, "Exhausted")
        expect(yield* service.state.get).toMatchObject({ failures: 4, cause: Cause.fail("fatal") })
        yield* TestClock.adjust("1 day")
        expect(yield* server.attempts).toBe(4)
        expect(timers.pending()).toBe(0)
        expect(yield* Effect.flip(service.whenConnected())).toMatchObject({ _tag: "RetriesExhausted" })
      })
    )
  )

  it.scoped("ends the policy also when it is a connection that is lost by a fatal error", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make()
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* connection.drop("fatal")
      yield* awaitState(service, "Exhausted")
      expect(yield* server.attempts).toBe(1)
    })
  )

  it.scoped("begins afresh when the service is started again", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make()
      yield* server.refuse("fatal")
      yield* awaitState(service, "Exhausted")
      yield* service.start
      yield* server.refuse("busy")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      expect(yield* service.whenConnected()).toBe("first")
    })
  )

  it.scoped("asks about the service's own errors too, such as a loss without an error", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const asked: Array<unknown> = []
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.whileError(everySecond, (error) => {
          asked.push(error)
          return true
        })
      })
      yield* service.start
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      expect(asked).toMatchObject([{ _tag: "ConnectionLost" }])
    })
  )

  it.scoped("is not ended by a defect", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.whileError(everySecond, () => false)
      })
      yield* service.start
      yield* server.script(TestEndpoint.died("boom"))
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      expect(yield* service.whenConnected()).toBe("first")
    })
  )

  it.scoped("whose predicate throws is logged, and the default policy's delay is taken", () =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: RetryPolicy.whileError(everySecond, () => {
            throw new Error("thrown")
          })
        })
        yield* service.start
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("500 millis")
        expect(yield* server.attempts).toBe(2)
        yield* settle
        const broken = entries.filter(({ message }) => message.includes("retry policy broken"))
        expect(broken).toMatchObject([{ level: "Warning", cause: { defect: { message: "thrown" } } }])
      })
    )
  )

  it.effect("does not change the delays of a policy, and ends with it", () =>
    Effect.gen(function* () {
      const policy = Schedule.intersect(Schedule.spaced("3 seconds"), Schedule.recurs(2))
      expect(
        yield* delaysOf(
          RetryPolicy.whileError(policy, () => true),
          5
        )
      ).toEqual([3000, 3000])
    })
  )

  it.effect("asks about every error of a failure until one is not to be retried, and steps the policy only then", () =>
    Effect.gen(function* () {
      let steps = 0
      const asked: Array<string> = []
      const policy = RetryPolicy.whileError(
        RetryPolicy.fromFunction(() => {
          steps += 1
          return 10
        }),
        (error: string) => {
          asked.push(error)
          return Effect.succeed(error !== "fatal")
        }
      )
      const step = (cause: Cause.Cause<string>) =>
        Effect.map(
          policy.step(0, { failures: 1, cause, elapsed: Duration.zero }, policy.initial),
          ([, , decision]) => decision._tag
        )
      const busy = Cause.parallel(Cause.fail("busy"), Cause.fail("slow"))
      expect(yield* step(busy)).toBe("Continue")
      expect(asked).toEqual(["busy", "slow"])
      expect(steps).toBe(1)
      expect(yield* step(Cause.sequential(busy, Cause.parallel(Cause.fail("fatal"), Cause.fail("late"))))).toBe("Done")
      expect(asked).toEqual(["busy", "slow", "busy", "slow", "fatal"])
      expect(steps).toBe(1)
      expect(yield* step(Cause.die("fatal"))).toBe("Continue")
      expect(yield* step(Cause.empty)).toBe("Continue")
      expect(asked).toHaveLength(5)
    })
  )

  it.effect("is the same in a pipe, and several hold together", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const asking = (name: string, answer: boolean) =>
        RetryPolicy.whileError((error: string) => {
          asked.push(`${name}: ${error}`)
          return answer
        })
      const policy = everySecond.pipe(asking("first", true), asking("second", true))
      expect(yield* delaysOf(policy, 1)).toEqual([1000])
      expect(asked).toEqual(["second: refused", "first: refused"])
      expect(yield* delaysOf(everySecond.pipe(asking("no", false), asking("yes", true)), 1)).toEqual([])
    })
  )
})

describe("fromConfig", () => {
  const read = (entries: Record<string, string>, config = RetryPolicy.fromConfig) =>
    Effect.withConfigProvider(config, ConfigProvider.fromMap(new Map(Object.entries(entries))))

  /** The delays after as many failures, with every draw at its upper end. */
  const highest = (policy: RetryPolicy.RetryPolicy<unknown>, failures: number) =>
    Effect.withRandom(delaysOf(policy, failures), Random.fixed([0.999999999]))

  it.effect("reads a fullJitter policy, and takes its defaults for what is not there", () =>
    Effect.gen(function* () {
      const policy = yield* read({})
      expect(yield* highest(policy, 8)).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
      expect(yield* highest(policy, 8)).toEqual(yield* highest(RetryPolicy.fullJitter(), 8))
    })
  )

  it.effect("reads each option", () =>
    Effect.gen(function* () {
      const some = yield* read({ initialDelay: "2 seconds" })
      expect(yield* highest(some, 3)).toEqual([2000, 4000, 8000])
      const all = yield* read({ initialDelay: "100 millis", maxDelay: "1 seconds", factor: "3" })
      expect(yield* highest(all, 4)).toEqual([100, 300, 900, 1000])
    })
  )

  it.effect("takes maxDelay for initialDelay if it is less, be that given or the default", () =>
    Effect.gen(function* () {
      const given = yield* read({ initialDelay: "10 seconds", maxDelay: "1 seconds" })
      expect(yield* highest(given, 2)).toEqual([1000, 1000])
      const byDefault = yield* read({ maxDelay: "100 millis" })
      expect(yield* highest(byDefault, 2)).toEqual([100, 100])
    })
  )

  it.effect("can be nested", () =>
    Effect.gen(function* () {
      const nested = RetryPolicy.fromConfig.pipe(Config.nested("retry"), Config.nested("redis"))
      const policy = yield* read({ "redis.retry.initialDelay": "1 seconds", initialDelay: "9 seconds" }, nested)
      expect(yield* highest(policy, 1)).toEqual([1000])
    })
  )

  for (const [what, entries, path, message] of [
    [
      "a delay that is none",
      { initialDelay: "soon" },
      ["initialDelay"],
      "RetryPolicy.fromConfig: initialDelay must be"
    ],
    ["a negative delay", { maxDelay: "-1 seconds" }, ["maxDelay"], "-1 seconds"],
    ["an infinite delay", { maxDelay: "Infinity" }, ["maxDelay"], "Infinity"],
    ["a delay without a unit", { maxDelay: "10" }, ["maxDelay"], "10"],
    ["a factor that is no number", { factor: "double" }, ["factor"], "double"],
    ["a factor of less than 1", { factor: "0.5" }, ["factor"], "at least 1"],
    ["an infinite factor", { factor: "Infinity" }, ["factor"], "at least 1"]
  ] as const) {
    it.effect(`refuses ${what} with a ConfigError that names the key, nested or not`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(read({ ...entries }))
        expect(ConfigError.isInvalidData(error) && error.path).toEqual(path)
        expect(error.message).toContain(message)

        const nested = Object.fromEntries(Object.entries(entries).map(([key, value]) => [`retry.${key}`, value]))
        const inner = yield* Effect.flip(read(nested, Config.nested(RetryPolicy.fromConfig, "retry")))
        expect(ConfigError.isInvalidData(inner) && inner.path).toEqual(["retry", ...path])
      })
    )
  }
})
