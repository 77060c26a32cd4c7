import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Scope } from "effect"
import { Endpoint, type EndpointRuleBroken, TestEndpoint } from "effect-client-service"

type Connect = (signal: Endpoint.ConnectionSignal<string>) => Effect.Effect<string, string, Scope.Scope>

/** What an endpoint is built of that keeps all rules. */
const good = () => {
  const state = { attempts: 0, open: 0 }
  const connect: Connect = () =>
    Effect.suspend(() => {
      state.attempts += 1
      return Effect.acquireRelease(
        Effect.sync(() => {
          state.open += 1
          return "connection"
        }),
        () =>
          Effect.sync(() => {
            state.open -= 1
          })
      )
    })
  return { connect, open: Effect.sync(() => state.open), state }
}

/** Takes real time in which an attempt can be interrupted, be all else slow on a busy machine. */
const aWhile = Effect.async<void>((resume) => {
  const timer = setTimeout(() => resume(Effect.void), 5)
  return Effect.sync(() => clearTimeout(timer))
})

/** An endpoint that takes some time to connect. */
const slowly =
  (connect: Connect): Connect =>
  (signal) =>
    Effect.zipRight(aWhile, connect(signal))

const check = (connect: Connect, options?: TestEndpoint.CheckOptions<string>) =>
  TestEndpoint.checkEndpoint(Endpoint.make({ name: "checked", connect }), { patience: "500 millis", ...options })

/** Endpoints that break one rule each. */
const bad: ReadonlyArray<{
  readonly rule: EndpointRuleBroken.EndpointRule
  readonly that: string
  readonly check: () => Effect.Effect<void, EndpointRuleBroken.EndpointRuleBroken>
}> = [
  { rule: "Connects", that: "fails", check: () => check(() => Effect.fail("refused")) },
  { rule: "Connects", that: "hangs", check: () => check(() => Effect.never) },
  {
    rule: "ConnectsAgain",
    that: "connects once",
    check: () => {
      const { connect, state } = good()
      return check((signal) => (state.attempts === 0 ? connect(signal) : Effect.fail("used up")))
    }
  },
  {
    rule: "ConnectsAgain",
    that: "keeps a lock when it is interrupted",
    check: () => {
      const { connect } = good()
      const lock = Effect.unsafeMakeSemaphore(1)
      return check((signal) =>
        lock.take(1).pipe(Effect.zipRight(slowly(connect)(signal)), Effect.zipLeft(lock.release(1)))
      )
    }
  },
  {
    rule: "Dies",
    that: "throws",
    check: () =>
      check(() => {
        throw new Error("thrown")
      })
  },
  { rule: "Dies", that: "dies", check: () => check(() => Effect.die("defect")) },
  {
    rule: "Dies",
    that: "dies when it closes",
    check: () => check(() => Effect.acquireRelease(Effect.succeed("connection"), () => Effect.die("defect")))
  },
  {
    rule: "Interruptible",
    that: "ignores its interruption",
    check: () => {
      const { connect, state } = good()
      const hung: Connect = () => Effect.uninterruptible(Effect.never)
      return check((signal) => (state.attempts < 2 ? slowly(connect)(signal) : hung(signal)), { seed: 5 })
    }
  },
  {
    rule: "Closes",
    that: "never closes",
    check: () => check(() => Effect.acquireRelease(Effect.succeed("connection"), () => Effect.never))
  },
  {
    rule: "Releases",
    that: "leaves its connections open",
    check: () => {
      const { connect, open } = good()
      return check((signal) => Effect.flatMap(Scope.make(), (scope) => Scope.extend(connect(signal), scope)), { open })
    }
  },
  {
    rule: "Releases",
    that: "leaves a connection open when it is interrupted",
    check: () => {
      const { connect, open, state } = good()
      const leaking: Connect = (signal) =>
        Effect.gen(function* () {
          state.open += 1
          yield* aWhile
          state.open -= 1
          return yield* connect(signal)
        })
      return check(leaking, { open })
    }
  },
  {
    rule: "Releases",
    that: "leaves a fiber",
    check: () => check(() => Effect.as(Effect.forkDaemon(Effect.never), "connection"))
  },
  {
    rule: "StaysUp",
    that: "loses each connection",
    check: () =>
      check((signal) => {
        signal.lost("lost")
        return Effect.succeed("connection")
      })
  },
  {
    rule: "StaysUp",
    that: "gives connections that can't be used",
    check: () => check(good().connect, { use: () => Effect.fail("broken") })
  },
  {
    rule: "Independent",
    that: "loses one connection when another closes",
    check: () => {
      const signals = new Set<Endpoint.ConnectionSignal<string>>()
      return check((signal) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            signals.add(signal)
            return "connection"
          }),
          () =>
            Effect.sync(() => {
              signals.delete(signal)
              for (const { lost } of signals) lost("another was closed")
            })
        )
      )
    }
  },
  {
    rule: "Independent",
    that: "has one connection at a time",
    check: () => {
      const { connect, state } = good()
      return check((signal) => (state.open > 0 ? Effect.fail("busy") : connect(signal)))
    }
  }
]

describe("checkEndpoint", () => {
  it.effect("accepts an endpoint that keeps the rules", () => {
    const { connect, open } = good()
    return check(connect, { open, use: (connection) => Effect.sync(() => expect(connection).toBe("connection")) })
  })

  it.effect("accepts one that takes some turns, whatever the seed", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 10; seed++) {
        const { connect, open } = good()
        yield* check(slowly(connect), { open, runs: 10, seed })
      }
    })
  )

  it.effect("accepts a TestEndpoint, on TestClock", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      yield* server.script(...Array.from({ length: 1000 }, () => TestEndpoint.accepted("connection")))
      const open = Effect.zipWith(server.opens, server.closes, (opens, closes) => opens - closes)
      yield* TestEndpoint.checkEndpoint(server.endpoint, { open })
      expect(yield* server.opens).toBeGreaterThan(50)
    })
  )

  for (const { check, rule, that } of bad) {
    it.effect(`${rule}: refuses an endpoint that ${that}`, () =>
      Effect.map(Effect.flip(check()), (error) => expect(error).toMatchObject({ _tag: "EndpointRuleBroken", rule }))
    )
  }

  it.effect("tells what was done, and repeats it by the seed", () =>
    Effect.gen(function* () {
      // It breaks the rule however long anything takes.
      const hangsAgain = Effect.suspend(() => {
        const { connect, state } = good()
        return check((signal) => (state.attempts === 0 ? connect(signal) : Effect.never))
      })
      const [once, again] = [yield* Effect.flip(hangsAgain), yield* Effect.flip(hangsAgain)]
      expect(once.history.length).toBeGreaterThan(1)
      expect(again.history.slice(0, 2)).toEqual(once.history.slice(0, 2))
      expect(once.message).toMatch(
        /^checked breaks the rule ConnectsAgain \(seed 1, .+\): connect does not end within 500ms$/
      )
    })
  )

  it.effect("interrupted, leaves nothing open", () =>
    Effect.gen(function* () {
      const { connect, open } = good()
      const checking = yield* Effect.fork(check(connect, { open, use: () => Effect.never, patience: "1 hour" }))
      yield* Effect.repeat(Effect.zipRight(Effect.yieldNow(), open), { until: (open) => open > 0 })
      yield* Fiber.interrupt(checking)
      yield* Effect.repeat(Effect.zipRight(Effect.yieldNow(), open), { until: (open) => open === 0 })
    })
  )

  it("refuses options that make no sense", () => {
    const { connect } = good()
    expect(() => check(connect, { runs: 0 })).toThrow("runs must be an integer of at least 1, got 0")
    expect(() => check(connect, { seed: 0.5 })).toThrow("seed must be an integer of at least 0, got 0.5")
    expect(() => check(connect, { patience: 0 })).toThrow("patience must be a duration of more than zero, got 0")
  })
})
