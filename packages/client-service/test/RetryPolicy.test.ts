import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  type Clock,
  Duration,
  Effect,
  Exit,
  Random,
  Schedule,
  ScheduleDecision,
  ScheduleIntervals,
  type Scope,
  TestClock
} from "effect"
import { ClientService, Endpoint, InvalidOption, RetryPolicy, TestEndpoint } from "effect-client-service"
import * as fc from "fast-check"
import { awaitState, settle } from "./support/fixture.js"
import { withLogs } from "./support/logs.js"
import { delaysAt, delaysOf } from "./support/steps.js"
import { day, withWallClock } from "./support/wallClock.js"

const seeded = (seed: number) => Effect.withRandom(Random.make(seed))

const run = (policy: RetryPolicy.RetryPolicy<string>, failures: number, seed = 1) =>
  Effect.runSync(seeded(seed)(delaysOf(policy, failures)))

const noJitter = Effect.succeed(0)

const min = (values: ReadonlyArray<number>) => values.reduce((a, b) => Math.min(a, b))
const max = (values: ReadonlyArray<number>) => values.reduce((a, b) => Math.max(a, b))

/** How many of the values lie in each tenth of the range from 0 to the limit. */
const tenths = (values: ReadonlyArray<number>, limit: number): ReadonlyArray<number> => {
  const counts = Array.from({ length: 10 }, () => 0)
  for (const value of values) {
    const tenth = Math.min(9, Math.floor((value / limit) * 10))
    counts[tenth] = (counts[tenth] ?? 0) + 1
  }
  return counts
}

describe("fromFunction", () => {
  it("is asked with the failures in a row and gives its delays", () => {
    const asked: Array<number> = []
    const policy = RetryPolicy.fromFunction((failures) => {
      asked.push(failures)
      return failures * 100
    })
    expect(run(policy, 3)).toEqual([100, 200, 300])
    expect(asked).toEqual([1, 2, 3])
  })

  it("remembers nothing but what it is asked with", () => {
    const policy = RetryPolicy.fromFunction((failures) => failures * 100)
    expect(Effect.runSync(delaysAt(policy, [7, 1, 3]))).toEqual([700, 100, 300])
  })

  it.each<[Duration.DurationInput, number]>([
    ["2 seconds", 2000],
    [250, 250],
    [3_000_000n, 3],
    [[1, 500_000_000], 1500],
    [Duration.minutes(1), 60_000],
    [0, 0]
  ])("takes %s for a delay", (delay, millis) => {
    expect(
      run(
        RetryPolicy.fromFunction(() => delay),
        1
      )
    ).toEqual([millis])
  })

  it("rounds a delay to whole milliseconds, and none away", () => {
    const delays = [0, 0.2, 0.7, 1.4, 1.6]
    const policy = RetryPolicy.fromFunction((failures) => delays[failures - 1] ?? 0)
    expect(run(policy, 5)).toEqual([0, 1, 1, 1, 2])
  })

  it.each<[Duration.DurationInput, string]>([
    [Number.NaN, "NaN"],
    [-1, "-1"],
    [Duration.infinity, "Infinity"]
  ])("dies of a delay of %s", (delay, printed) => {
    const exit = Effect.runSyncExit(
      delaysOf(
        RetryPolicy.fromFunction(() => delay),
        1
      )
    )
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain("RetryPolicy.fromFunction: delay must be a")
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain(`duration of zero or more, got ${printed}`)
  })

  it("never gives up", () => {
    expect(
      run(
        RetryPolicy.fromFunction(() => 1),
        10_000
      )
    ).toHaveLength(10_000)
  })
})

describe("backoff", () => {
  it.each<[string, Parameters<typeof RetryPolicy.backoff>[0], ReadonlyArray<number>]>([
    [
      "by default, half as long again up to a minute",
      {},
      [1000, 1500, 2250, 3375, 5063, 7594, 11391, 17086, 25629, 38443, 57665, 60000, 60000]
    ],
    ["from initialDelay", { initialDelay: "200 millis" }, [200, 300, 450, 675]],
    ["up to maxDelay", { maxDelay: "2 seconds" }, [1000, 1500, 2000, 2000]],
    ["by factor", { factor: 3, maxDelay: "30 seconds" }, [1000, 3000, 9000, 27000, 30000, 30000]],
    ["always the same with a factor of 1", { factor: 1 }, [1000, 1000, 1000, 1000]],
    ["always the same if maxDelay is initialDelay", { maxDelay: "1 second" }, [1000, 1000, 1000]],
    ["not at all if maxDelay is less than the default initialDelay", { maxDelay: "500 millis" }, [500, 500, 500]],
    ["not at all if maxDelay is less than initialDelay", { initialDelay: "1 minute", maxDelay: 700 }, [700, 700]],
    ["without any delay if maxDelay is 0", { maxDelay: 0 }, [0, 0, 0]],
    ["without any delay if initialDelay is 0", { initialDelay: 0 }, [0, 0, 0, 0]]
  ])("climbs %s", (_, options, ladder) => {
    expect(run(RetryPolicy.backoff({ ...options, jitter: noJitter }), ladder.length)).toEqual(ladder)
  })

  it("draws the jitter for every delay, and adds it on top of maxDelay too", () => {
    let draws = 0
    const jitter = Effect.sync(() => {
      draws += 1
      return draws
    })
    const policy = RetryPolicy.backoff({ initialDelay: 100, factor: 2, maxDelay: 200, jitter })
    expect(run(policy, 4)).toEqual([101, 202, 203, 204])
  })

  it.each<[Duration.DurationInput, number]>([
    ["30 millis", 130],
    [[0, 4_000_000], 104],
    [Duration.seconds(1), 1100]
  ])("takes %s for a jitter", (jitter, delay) => {
    expect(run(RetryPolicy.backoff({ initialDelay: 100, jitter: Effect.succeed(jitter) }), 1)).toEqual([delay])
  })

  it.each<[Duration.DurationInput, string]>([
    [Number.NaN, "NaN"],
    [-5, "-5"],
    [Duration.infinity, "Infinity"]
  ])("dies of a jitter of %s", (jitter, printed) => {
    const exit = Effect.runSyncExit(delaysOf(RetryPolicy.backoff({ jitter: Effect.succeed(jitter) }), 1))
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain("RetryPolicy.backoff: jitter must be a")
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain(`duration of zero or more, got ${printed}`)
  })

  it("has by default a jitter that is uniform from 0 to 1 second", () => {
    const jitters = run(RetryPolicy.backoff({ initialDelay: 0 }), 10_000)
    expect(min(jitters)).toBeGreaterThanOrEqual(0)
    expect(max(jitters)).toBeLessThanOrEqual(1000)
    for (const count of tenths(jitters, 1000)) {
      expect(count).toBeGreaterThan(850)
      expect(count).toBeLessThan(1150)
    }
  })

  it("is the same for the same seed, and not for another", () => {
    expect(run(RetryPolicy.backoff(), 20, 7)).toEqual(run(RetryPolicy.backoff(), 20, 7))
    expect(run(RetryPolicy.backoff(), 20, 7)).not.toEqual(run(RetryPolicy.backoff(), 20, 8))
  })
})

describe("fullJitter", () => {
  it("stays between 0 and the ladder's bound, whatever the options", () => {
    fc.assert(
      fc.property(
        fc.record({
          initialDelay: fc.integer({ min: 0, max: 10_000 }),
          extra: fc.integer({ min: 0, max: 100_000 }),
          factor: fc.double({ min: 1, max: 10, noNaN: true }),
          failures: fc.integer({ min: 1, max: 30 }),
          seed: fc.integer()
        }),
        ({ extra, factor, failures, initialDelay, seed }) => {
          const maxDelay = initialDelay + extra
          const delays = run(RetryPolicy.fullJitter({ initialDelay, maxDelay, factor }), failures, seed)
          delays.forEach((delay, index) => {
            expect(delay).toBeGreaterThanOrEqual(0)
            expect(delay).toBeLessThanOrEqual(Math.round(Math.min(initialDelay * factor ** index, maxDelay)))
          })
        }
      )
    )
  })

  it.each([
    [1, 500],
    [2, 1000],
    [3, 2000],
    [7, 30_000],
    [1000, 30_000]
  ])("after failure %i is by default uniform from 0 to %i ms", (failures, bound) => {
    const counts = Array.from({ length: 10_000 }, () => failures)
    const delays = Effect.runSync(seeded(3)(delaysAt(RetryPolicy.fullJitter(), counts)))
    expect(max(delays)).toBeLessThanOrEqual(bound)
    expect(max(delays)).toBeGreaterThan(bound * 0.99)
    expect(min(delays)).toBeLessThan(bound * 0.01)
    for (const count of tenths(delays, bound)) {
      expect(count).toBeGreaterThan(850)
      expect(count).toBeLessThan(1150)
    }
  })

  it.each<[string, Parameters<typeof RetryPolicy.fullJitter>[0]]>([
    ["the default initialDelay", { maxDelay: "100 millis" }],
    ["initialDelay", { initialDelay: "1 minute", maxDelay: "100 millis" }]
  ])("is uniform from 0 to maxDelay if that is less than %s", (_, options) => {
    const delays = run(RetryPolicy.fullJitter(options), 10_000)
    expect(max(delays)).toBe(100)
    for (const count of tenths(delays, 100)) {
      expect(count).toBeGreaterThan(850)
      expect(count).toBeLessThan(1150)
    }
  })

  it("spreads the first delay already", () => {
    const firsts = Array.from({ length: 100 }, (_, seed) => run(RetryPolicy.fullJitter(), 1, seed)[0])
    expect(new Set(firsts).size).toBeGreaterThan(80)
  })

  it("is the same for the same seed, and not for another", () => {
    expect(run(RetryPolicy.fullJitter(), 20, 7)).toEqual(run(RetryPolicy.fullJitter(), 20, 7))
    expect(run(RetryPolicy.fullJitter(), 20, 7)).not.toEqual(run(RetryPolicy.fullJitter(), 20, 8))
  })
})

describe("proportional", () => {
  const delayAfter = (options: Parameters<typeof RetryPolicy.proportional>[0], elapsed: number, seed: number) => {
    const policy = RetryPolicy.proportional(options)
    const failure = { failures: 7, cause: Cause.fail("refused"), elapsed: Duration.millis(elapsed) }
    return Effect.runSync(
      seeded(seed)(
        Effect.map(policy.step(1000, failure, policy.initial), ([, , decision]) =>
          ScheduleDecision.isDone(decision) ? Number.NaN : ScheduleIntervals.start(decision.intervals) - 1000
        )
      )
    )
  }

  it.each<[string, Parameters<typeof RetryPolicy.proportional>[0], number, number]>([
    ["half a second at first", {}, 0, 500],
    ["half a second while it has been away for less", {}, 400, 500],
    ["the time that it has been away", {}, 7000, 7000],
    ["30 seconds at most", {}, 600_000, 30_000],
    ["initialDelay at first", { initialDelay: "2 seconds" }, 10, 2000],
    ["maxDelay at most", { maxDelay: "4 seconds" }, 7000, 4000],
    ["maxDelay, though initialDelay is longer", { initialDelay: "9 seconds", maxDelay: "4 seconds" }, 0, 4000]
  ])("is uniform from zero to %s", (_, options, elapsed, bound) => {
    const delays = Array.from({ length: 2000 }, (_, seed) => delayAfter(options, elapsed, seed))
    expect(min(delays)).toBeGreaterThanOrEqual(0)
    expect(max(delays)).toBeLessThanOrEqual(bound)
    for (const count of tenths(delays, bound)) {
      expect(count).toBeGreaterThan(140)
      expect(count).toBeLessThan(260)
    }
  })

  for (const option of ["initialDelay", "maxDelay"] as const) {
    it(`refuses ${option} of zero, from which nothing would grow`, () => {
      expect(() => RetryPolicy.proportional({ [option]: 0 })).toThrow(
        `RetryPolicy.proportional: ${option} must be a duration of more than zero, got 0`
      )
    })
  }
})

describe("what a policy is told of the time", () => {
  const make = Effect.gen(function* () {
    const elapsed: Array<number> = []
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      connectTimeout: "20 seconds",
      retryPolicy: Schedule.spaced("1 second").pipe(
        Schedule.whileInput((failure: RetryPolicy.ConnectionFailure<unknown>) => {
          elapsed.push(Duration.toMillis(failure.elapsed))
          return true
        })
      )
    })
    yield* service.start
    return { elapsed, server, service }
  })

  it.scoped("counts from when the first attempt of a row began", () =>
    Effect.gen(function* () {
      const { elapsed, server } = yield* make
      yield* TestClock.adjust("3 seconds")
      yield* server.refuse("refused")
      yield* TestClock.adjust("1 second")
      // This one times out.
      yield* TestClock.adjust("20 seconds")
      yield* TestClock.adjust("1 second")
      yield* server.refuse("refused")
      yield* settle
      expect(elapsed).toEqual([3000, 24_000, 25_000])
    })
  )

  it.scoped("counts from the loss of a connection, and anew after each that was stable", () =>
    Effect.gen(function* () {
      const { elapsed, server } = yield* make
      for (const uptime of ["1 minute", "1 hour"] as const) {
        const connection = yield* server.accept("protocol")
        yield* TestClock.adjust(uptime)
        yield* connection.drop()
        yield* TestClock.adjust("3 seconds")
        yield* server.refuse("refused")
        yield* TestClock.adjust("1 second")
      }
      expect(elapsed).toEqual([0, 3000, 0, 3000])
    })
  )

  it.scoped("goes on over a connection that is lost early", () =>
    Effect.gen(function* () {
      const { elapsed, server } = yield* make
      yield* server.refuse("refused")
      yield* TestClock.adjust("1 second")
      const young = yield* server.accept("protocol")
      yield* TestClock.adjust("4 seconds")
      yield* young.drop()
      yield* settle
      expect(elapsed).toEqual([0, 5000])
    })
  )

  it.scoped("counts from the first attempt to replace a connection, where that fails", () =>
    Effect.gen(function* () {
      const elapsed: Array<number> = []
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        maxAge: "1 hour",
        retryPolicy: Schedule.spaced("1 minute").pipe(
          Schedule.whileInput((failure: RetryPolicy.ConnectionFailure<unknown>) => {
            elapsed.push(Duration.toMillis(failure.elapsed))
            return true
          })
        )
      })
      yield* service.start
      yield* server.accept("first")
      yield* server.down("refused")
      yield* TestClock.adjust("1 hour")
      yield* TestClock.adjust("1 minute")
      expect(elapsed.slice(0, 2)).toEqual([0, 60_000])
    })
  )

  for (const millis of [-day, day]) {
    it.scoped(`takes no notice of a wall clock that is set by ${millis} ms`, () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          const { elapsed, server } = yield* make
          yield* TestClock.adjust("3 seconds")
          wallClock.ahead = millis
          yield* server.refuse("refused")
          yield* settle
          expect(elapsed).toEqual([3000])
        })
      )
    )
  }
})

describe("decorrelatedJitter", () => {
  const halfway = (policy: RetryPolicy.RetryPolicy<string>, failures: number) =>
    Effect.runSync(Effect.withRandom(delaysOf(policy, failures), Random.fixed([0.5])))

  it("depends on the delay before: halfway from initialDelay to three times that", () => {
    const policy = RetryPolicy.decorrelatedJitter({ initialDelay: 100, maxDelay: 1000 })
    expect(halfway(policy, 6)).toEqual([200, 350, 575, 913, 1000, 1000])
  })

  it("begins by default at 500 ms, and ends at 30 seconds", () => {
    expect(halfway(RetryPolicy.decorrelatedJitter(), 1)).toEqual([1000])
    expect(max(run(RetryPolicy.decorrelatedJitter(), 1000))).toBe(30_000)
    expect(min(run(RetryPolicy.decorrelatedJitter(), 1000))).toBeGreaterThanOrEqual(500)
  })

  it.each<[string, Parameters<typeof RetryPolicy.decorrelatedJitter>[0]]>([
    ["the default initialDelay", { maxDelay: "100 millis" }],
    ["initialDelay", { initialDelay: "1 minute", maxDelay: "100 millis" }]
  ])("is maxDelay if that is less than %s", (_, options) => {
    expect(run(RetryPolicy.decorrelatedJitter(options), 5)).toEqual([100, 100, 100, 100, 100])
  })

  it("is at least initialDelay, and at most maxDelay and three times the delay before", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000 }),
        fc.integer({ min: 0, max: 100_000 }),
        fc.integer(),
        (initialDelay, extra, seed) => {
          const maxDelay = initialDelay + extra
          let previous = initialDelay
          for (const delay of run(RetryPolicy.decorrelatedJitter({ initialDelay, maxDelay }), 30, seed)) {
            expect(delay).toBeGreaterThanOrEqual(initialDelay)
            expect(delay).toBeLessThanOrEqual(Math.min(maxDelay, previous * 3))
            previous = delay
          }
        }
      )
    )
  })

  it("begins afresh each time that it is begun", () => {
    const policy = RetryPolicy.decorrelatedJitter({ initialDelay: 100, maxDelay: "1 hour" })
    expect(halfway(policy, 5)).toEqual(halfway(policy, 5))
  })
})

describe("a policy", () => {
  const policies: Record<string, () => RetryPolicy.RetryPolicy<unknown>> = {
    "backoff()": () => RetryPolicy.backoff(),
    "backoff of no delay": () => RetryPolicy.backoff({ initialDelay: 0, jitter: noJitter }),
    "backoff of an enormous factor": () => RetryPolicy.backoff({ factor: Number.MAX_VALUE }),
    "fullJitter()": () => RetryPolicy.fullJitter(),
    "proportional()": () => RetryPolicy.proportional(),
    "fullJitter of no delay": () => RetryPolicy.fullJitter({ initialDelay: 0 }),
    "fullJitter of an enormous factor": () => RetryPolicy.fullJitter({ factor: Number.MAX_VALUE }),
    "decorrelatedJitter()": () => RetryPolicy.decorrelatedJitter(),
    "decorrelatedJitter of no delay": () => RetryPolicy.decorrelatedJitter({ initialDelay: 0 })
  }
  for (const [name, make] of Object.entries(policies)) {
    it(`${name} gives a finite delay in whole milliseconds after 10,000 failures in a row`, () => {
      const delays = run(make(), 10_000)
      expect(delays).toHaveLength(10_000)
      expect(delays.filter((delay) => !Number.isSafeInteger(delay) || delay < 0 || delay > 61_000)).toEqual([])
    })
  }
})

describe("options", () => {
  const duration = "duration of zero or more"
  const number = "finite number of at least 1"
  const refusedDurations: ReadonlyArray<readonly [unknown, string]> = [
    [Number.NaN, "NaN"],
    [-1, "-1"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [Duration.infinity, "Infinity"],
    ["-1 seconds", '"-1 seconds"'],
    ["soon", '"soon"']
  ]
  const refusedFactors: ReadonlyArray<readonly [unknown, string]> = [
    [0.99, "0.99"],
    [0, "0"],
    [-2, "-2"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"]
  ]
  const constructors: Record<
    string,
    [make: (options: object) => RetryPolicy.RetryPolicy<unknown>, options: ReadonlyArray<string>]
  > = {
    backoff: [RetryPolicy.backoff, ["initialDelay", "maxDelay", "factor"]],
    fullJitter: [RetryPolicy.fullJitter, ["initialDelay", "maxDelay", "factor"]],
    proportional: [RetryPolicy.proportional, ["initialDelay", "maxDelay"]],
    decorrelatedJitter: [RetryPolicy.decorrelatedJitter, ["initialDelay", "maxDelay"]]
  }
  for (const [constructor, [make, options]] of Object.entries(constructors)) {
    for (const option of options) {
      const [expected, refused] = option === "factor" ? [number, refusedFactors] : [duration, refusedDurations]
      for (const [value, printed] of refused) {
        it(`${constructor} refuses ${option}: ${printed}`, () => {
          const refusal = () => make({ [option]: value })
          expect(refusal).toThrow(InvalidOption.InvalidOption)
          expect(refusal).toThrow(`RetryPolicy.${constructor}: ${option} must be a`)
          expect(refusal).toThrow(`${expected}, got ${printed}`)
        })
      }
    }

    it(`${constructor} takes an option that is undefined for its default`, () => {
      const defaults = Object.fromEntries(options.map((option) => [option, undefined]))
      expect(run(make(defaults), 10)).toEqual(run(make({}), 10))
    })
  }
})

type Errors = ClientService.ConnectionError<string>
type Option<R = never> = RetryPolicy.RetryPolicy<Errors, R> | RetryPolicy.Options<Errors, R>

/** A started service with that policy. */
const makeScoped = (retryPolicy: Option<Scope.Scope> | undefined) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy })
    yield* service.start
    /** The state after a failed attempt, whose delay is waited out. */
    const after = (outcome: TestEndpoint.Outcome<string, string>) =>
      Effect.gen(function* () {
        yield* server.script(outcome)
        yield* Effect.raceFirst(awaitState(service, "Waiting"), awaitState(service, "Exhausted"))
        const state = yield* service.state.get
        if (state._tag !== "Waiting") return state._tag
        yield* TestClock.adjust(state.delay)
        return Duration.toMillis(state.delay)
      })
    return { after, server, service, fail: (error: string) => after(TestEndpoint.refused(error)) }
  })

const make = (retryPolicy: Option | undefined) => makeScoped(retryPolicy)

describe("the option retryPolicy of a service", () => {
  const everySecond = RetryPolicy.fromFunction(() => "1 second")

  it.scoped.each([undefined, {}, { schedule: undefined, while: undefined, times: undefined }])(
    "is by default fullJitter without end: %j",
    (option) =>
      Effect.gen(function* () {
        const { fail } = yield* make(option)
        const delays: Array<unknown> = []
        for (let i = 0; i < 10; i++) delays.push(yield* fail("refused"))
        expect(delays).toEqual(yield* Effect.withRandom(delaysOf(RetryPolicy.fullJitter(), 10), Random.make("seed")))
      }).pipe(Effect.withRandom(Random.make("seed")))
  )

  it.scoped("takes its delays from a schedule", () =>
    Effect.gen(function* () {
      const { fail } = yield* make({ schedule: RetryPolicy.fromFunction((failures) => failures * 10) })
      expect([yield* fail("refused"), yield* fail("refused")]).toEqual([10, 20])
    })
  )

  it.scoped("gives up with its schedule", () =>
    Effect.gen(function* () {
      const { fail } = yield* make({ schedule: Schedule.intersect(everySecond, Schedule.recurs(1)), times: 5 })
      expect([yield* fail("refused"), yield* fail("refused")]).toEqual([1000, "Exhausted"])
    })
  )

  it.scoped.each<[times: number, outcomes: ReadonlyArray<number | string>]>([
    [0, ["Exhausted"]],
    [1, [1000, "Exhausted"]],
    [3, [1000, 1000, 1000, "Exhausted"]]
  ])("grants %i times after failures in a row", ([times, expected]) =>
    Effect.gen(function* () {
      const { fail, server } = yield* make({ schedule: everySecond, times })
      const outcomes: Array<unknown> = []
      for (let i = 0; i <= times; i++) outcomes.push(yield* fail("refused"))
      expect(outcomes).toEqual(expected)
      expect(yield* server.attempts).toBe(times + 1)
    })
  )

  it.scoped("grants its times afresh after a connection that stayed up", () =>
    Effect.gen(function* () {
      const { fail, server, service } = yield* make({ schedule: everySecond, times: 1 })
      expect(yield* fail("refused")).toBe(1000)
      const connection = yield* server.accept("protocol")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("1 minute")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      expect(yield* fail("refused")).toBe("Exhausted")
    })
  )

  it.scoped("goes on while the errors satisfy a predicate, be it an Effect or not", () =>
    Effect.gen(function* () {
      for (const answer of [(goesOn: boolean) => goesOn, (goesOn: boolean) => Effect.succeed(goesOn)]) {
        const { fail } = yield* make({ schedule: everySecond, while: (error) => answer(error !== "fatal") })
        expect([yield* fail("busy"), yield* fail("busy"), yield* fail("fatal")]).toEqual([1000, 1000, "Exhausted"])
      }
    })
  )

  it.scoped("asks nothing once its times are over", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const { fail } = yield* make({ schedule: everySecond, times: 1, while: (error) => asked.push(error) > 0 })
      expect([yield* fail("first"), yield* fail("second")]).toEqual([1000, "Exhausted"])
      expect(asked).toEqual(["first"])
    })
  )

  it.scoped("goes on after a failure without an error", () =>
    Effect.gen(function* () {
      const { after } = yield* make({ schedule: everySecond, while: () => false })
      expect(yield* after(TestEndpoint.died("bug"))).toBe(1000)
    })
  )

  it.scoped.each<[string, () => boolean | Effect.Effect<boolean>]>([
    [
      "throws",
      () => {
        throw new Error("thrown")
      }
    ],
    ["dies", () => Effect.die(new Error("thrown"))]
  ])("is broken if its predicate %s, so that the default policy takes its place", ([, predicate]) =>
    withLogs((entries) =>
      Effect.gen(function* () {
        const { fail } = yield* make({ schedule: RetryPolicy.fromFunction(() => "1 hour"), while: predicate })
        expect(yield* fail("refused")).toBeLessThanOrEqual(500)
        expect(entries.filter(({ message }) => message.includes("retry policy broken"))).toMatchObject([
          { level: "Warning", cause: { defect: { message: "thrown" } } }
        ])
      })
    )
  )

  it.scoped.each<[string, (finalizer: Effect.Effect<void, never, Scope.Scope>) => Parameters<typeof makeScoped>[0]]>([
    ["schedule", (finalizer) => Schedule.tapInput(everySecond, () => finalizer)],
    ["option schedule", (finalizer) => ({ schedule: Schedule.tapInput(everySecond, () => finalizer), times: 5 })],
    ["predicate", (finalizer) => ({ schedule: everySecond, while: () => Effect.as(finalizer, true) })]
  ])("gives each step of a %s a Scope of its own", ([, option]) =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const finalizer = Effect.acquireRelease(
        Effect.sync(() => void log.push("acquired")),
        () => Effect.sync(() => void log.push("released"))
      )
      const { fail } = yield* makeScoped(option(finalizer))
      expect([yield* fail("refused"), yield* fail("refused")]).toEqual([1000, 1000])
      expect(log).toEqual(["acquired", "released", "acquired", "released"])
    })
  )

  it.each<[number, string]>([
    [-1, "-1"],
    [1.5, "1.5"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"]
  ])("refuses %f times", (times, printed) => {
    const endpoint = Endpoint.make({ name: "test", connect: () => Effect.void })
    class Peer extends ClientService.Tag("test/Times")<Peer, void>() {}
    expect(() => ClientService.make({ endpoint, retryPolicy: { times } })).toThrow(
      new InvalidOption.InvalidOption({
        where: "ClientService.make",
        option: "retryPolicy.times",
        value: times,
        expected: "an integer of at least 0"
      })
    )
    expect(() => Peer.layer({ endpoint, retryPolicy: { times } })).toThrow(
      `ClientService.layer: retryPolicy.times must be an integer of at least 0, got ${printed}`
    )
  })
})

describe("a service", () => {
  it.scoped("gives up after so many failures with a policy that is intersected with recurs", () =>
    Effect.gen(function* () {
      const { fail, server, service } = yield* make(
        RetryPolicy.backoff({ jitter: noJitter }).pipe(Schedule.intersect(Schedule.recurs(2)))
      )
      expect(yield* fail("first")).toBe(1000)
      expect(yield* fail("second")).toBe(1500)
      expect(yield* fail("third")).toBe("Exhausted")
      yield* TestClock.adjust("1 hour")
      expect(yield* server.attempts).toBe(3)
      expect(yield* service.running).toBe(false)
    })
  )

  it.scoped("gives up at an error that a policy with whileInput does not retry", () =>
    Effect.gen(function* () {
      const { fail, server } = yield* make(
        RetryPolicy.fromFunction(() => 10).pipe(
          Schedule.whileInput(
            ({ cause }: RetryPolicy.ConnectionFailure<ClientService.ConnectionError<string>>) =>
              cause._tag === "Fail" && cause.error !== "forbidden"
          )
        )
      )
      expect(yield* fail("busy")).toBe(10)
      expect(yield* fail("busy")).toBe(10)
      expect(yield* fail("forbidden")).toBe("Exhausted")
      expect(yield* server.attempts).toBe(3)
    })
  )

  it.scoped("goes on with the second of two policies that are sequenced by andThen", () =>
    Effect.gen(function* () {
      const { fail } = yield* make(
        RetryPolicy.fromFunction(() => 10).pipe(
          Schedule.intersect(Schedule.recurs(2)),
          Schedule.andThen(Schedule.spaced("1 minute")),
          Schedule.intersect(Schedule.recurs(4))
        )
      )
      const outcomes: Array<unknown> = []
      for (let i = 0; i < 5; i++) outcomes.push(yield* fail("refused"))
      expect(outcomes).toEqual([10, 10, 60_000, 60_000, "Exhausted"])
    })
  )

  it.scoped("waits for the shorter of two policies in union", () =>
    Effect.gen(function* () {
      const { fail } = yield* make(
        RetryPolicy.backoff({ factor: 3, maxDelay: "1 hour", jitter: noJitter }).pipe(
          Schedule.union(Schedule.spaced("5 seconds"))
        )
      )
      const outcomes: Array<unknown> = []
      for (let i = 0; i < 4; i++) outcomes.push(yield* fail("refused"))
      expect(outcomes).toEqual([1000, 3000, 5000, 5000])
    })
  )

  it.scoped("takes a delay that a combinator has changed", () =>
    Effect.gen(function* () {
      const { fail } = yield* make(
        RetryPolicy.fromFunction((failures) => failures * 100).pipe(Schedule.addDelay(() => "1 second"))
      )
      expect(yield* fail("refused")).toBe(1100)
      expect(yield* fail("refused")).toBe(1200)
    })
  )

  it.scoped("waits out a delay that is longer than any timer, and no timer is longer than there are", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const sleeps: Array<number> = []
      const recording: Clock.Clock = Object.assign(Object.create(clock), {
        sleep: (duration: Duration.Duration) =>
          Effect.suspend(() => {
            sleeps.push(Duration.toMillis(duration))
            return clock.sleep(duration)
          })
      })
      const { server, service } = yield* Effect.withClock(make(RetryPolicy.fromFunction(() => "30 days")), recording)
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust(Duration.decode("30 days").pipe(Duration.subtract(1)))
      expect(yield* server.attempts).toBe(1)
      expect((yield* service.state.get)._tag).toBe("Waiting")
      yield* TestClock.adjust(1)
      yield* server.accept("protocol")
      expect(yield* service.whenConnected()).toBe("protocol")
      expect(yield* server.attempts).toBe(2)
      expect(max(sleeps)).toBeLessThanOrEqual(2 ** 31 - 1)
    })
  )
})
