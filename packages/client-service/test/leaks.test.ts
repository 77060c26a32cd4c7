import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, LogLevel, Random, Scope, Supervisor, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import { ScriptClock } from "./properties/scriptClock.js"
import { StepScheduler } from "./properties/stepScheduler.js"
import { settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

/** A service in memory, or one that is down, and the counts of what it has. It retries at once, or hardly ever. */
const counted = (timers: { readonly pending: () => number }, options: { readonly isDown?: boolean } = {}) =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor.track
    const supervised = Effect.supervised(supervisor)
    let opens = 0
    let closes = 0
    const connect = (signal: Endpoint.ConnectionSignal<string>) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          opens += 1
          return signal
        }),
        () =>
          Effect.sync(() => {
            closes += 1
          })
      )
    const service = yield* supervised(
      ClientService.make({
        endpoint: Endpoint.make({
          name: "memory",
          connect: (signal: Endpoint.ConnectionSignal<string>) =>
            options.isDown === true ? Effect.fail("refused") : connect(signal)
        }),
        retryPolicy: RetryPolicy.fromFunction(() => (options.isDown === true ? "1 hour" : 0))
      })
    )
    const counts = settle.pipe(
      Effect.zipRight(supervisor.value),
      Effect.map((fibers) => ({ fibers: fibers.length, timers: timers.pending(), connections: opens - closes }))
    )
    return { service, counts, supervised, opens: () => opens }
  })

describe("nothing is left behind", () => {
  it.scoped("by 2,000 reconnects", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { counts, opens, service } = yield* counted(timers)
        yield* service.start
        yield* service.whenConnected()
        const before = yield* counts
        for (let reconnects = 1; reconnects <= 2000; reconnects += 1) {
          const signal = yield* service.whenConnected()
          signal.lost("cut")
          if (reconnects % 100 === 0) expect(yield* counts).toEqual(before)
        }
        expect(before).toEqual({ fibers: 0, timers: 0, connections: 1 })
        expect(opens()).toBe(2001)
      })
    ).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("by 1,000 stops and starts", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { counts, opens, service } = yield* counted(timers)
        for (let stops = 1; stops <= 1000; stops += 1) {
          yield* service.start
          yield* service.whenConnected()
          if (stops % 100 === 0) expect(yield* counts).toEqual({ fibers: 0, timers: 0, connections: 1 })
          yield* service.stop
          if (stops % 100 === 0) expect(yield* counts).toEqual({ fibers: 0, timers: 0, connections: 0 })
        }
        expect(opens()).toBe(1000)
      })
    ).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("by 10,000 waiters that are interrupted", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { counts, service, supervised } = yield* counted(timers, { isDown: true })
        yield* service.start
        // The first sleep has the clock fork a warning, which the first adjustment ends.
        yield* settle
        yield* TestClock.adjust(0)
        const before = yield* counts
        expect(before).toEqual({ fibers: 1, timers: 1, connections: 0 })
        for (let turn = 1; turn <= 10; turn += 1) {
          const waiters = yield* supervised(
            Effect.replicateEffect(
              Effect.fork(
                turn % 2 === 0 ? service.whenConnected() : service.whenConnected({ failAfterFailures: turn })
              ),
              1000
            )
          )
          expect(yield* counts).toEqual({ ...before, fibers: 1001 })
          yield* Fiber.interruptAll(waiters)
          expect(yield* counts).toEqual(before)
        }
      })
    ).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it("by a day of outage, and little is logged", () => {
    const minute = 60_000
    const day = 24 * 60 * minute
    const clock = new ScriptClock()
    const scheduler = new StepScheduler()
    const drain = () => {
      for (let more = true; more; ) more = scheduler.step()
    }
    const run = <A>(effect: Effect.Effect<A>): A => {
      const fiber = Effect.runFork(Effect.withScheduler(Effect.withClock(effect, clock), scheduler), { scheduler })
      drain()
      return Effect.runSync(fiber)
    }
    const warnings: Array<number> = []
    const logger = Logger.make(({ logLevel }) => {
      if (logLevel._tag === "Warning") warnings.push(clock.now)
    })
    const supervisor = Effect.runSync(Supervisor.track)
    const owner = Effect.runSync(Scope.make())
    let attempts = 0
    const endpoint = Endpoint.make({
      name: "down",
      connect: () =>
        Effect.suspend(() => {
          attempts += 1
          return Effect.fail("refused")
        })
    })
    run(
      ClientService.make({ endpoint }).pipe(
        Effect.flatMap((service) => service.start),
        Effect.supervised(supervisor),
        Effect.withRandom(Random.make("outage")),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Scope.extend(owner)
      )
    )
    const counts = () => ({ fibers: Effect.runSync(supervisor.value).length, timers: clock.sleeping })
    for (let hour = 1; hour <= 24; hour += 1) {
      clock.moveTo((hour * day) / 24, drain, () => {})
      expect(counts()).toEqual({ fibers: 1, timers: 1 })
    }
    run(Scope.close(owner, Exit.void))
    expect(counts()).toEqual({ fibers: 0, timers: 0 })
    // Once they have grown up, the delays are 15 seconds on average.
    expect(attempts).toBeGreaterThan((0.9 * day) / 15_000)
    expect(attempts).toBeLessThan((1.1 * day) / 15_000)
    expect(warnings.length).toBeGreaterThan(1)
    for (const [index, at] of warnings.entries()) {
      expect(at - (warnings[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(minute)
    }
  })
})
