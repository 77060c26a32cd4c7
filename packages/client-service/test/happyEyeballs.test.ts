import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Scope, TestClock } from "effect"
import { ClientService, Endpoint, EndpointsFailed, RetryPolicy, TestEndpoint } from "effect-client-service"
import fc from "fast-check"
import { ScriptClock } from "./properties/scriptClock.js"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

interface Racer {
  readonly name: string
  readonly server: TestEndpoint.TestEndpoint<string, string>
  readonly endpoint: Endpoint.Endpoint<string, string>
  /** When the endpoint was begun, in milliseconds. */
  readonly begun: Array<number>
}

const makeRacers = (names: string) =>
  Effect.forEach(names.split(""), (name) =>
    Effect.map(TestEndpoint.make<string, string>(), (server): Racer => {
      const begun: Array<number> = []
      const endpoint = Endpoint.make({
        name,
        connect: (signal: Endpoint.ConnectionSignal<string>) =>
          Effect.flatMap(Effect.clock, (clock) => {
            begun.push(clock.unsafeCurrentTimeMillis())
            return server.endpoint.connect(signal)
          })
      })
      return { name, server, endpoint, begun }
    })
  )

const endpointsOf = (racers: ReadonlyArray<Racer>) => racers.map(({ endpoint }) => endpoint)

/** How many connections are open to each. */
const openOf = (racers: ReadonlyArray<Racer>) =>
  Effect.forEach(racers, ({ server }) => Effect.zipWith(server.opens, server.closes, (opens, closes) => opens - closes))

const begunOf = (racers: ReadonlyArray<Racer>) => racers.map(({ begun }) => begun)

const script = (racers: ReadonlyArray<Racer>, ...outcomes: ReadonlyArray<TestEndpoint.Outcome<string, string>>) =>
  Effect.forEach(outcomes, (outcome, index) => racers[index]?.server.script(outcome) ?? expect.fail("no such racer"))

/** A service over a race that has begun. */
const makeRace = (
  names: string,
  outcomes: ReadonlyArray<TestEndpoint.Outcome<string, string>>,
  options: { readonly closeTimeout?: Duration.DurationInput } = {}
) =>
  Effect.gen(function* () {
    const racers = yield* makeRacers(names)
    yield* script(racers, ...outcomes)
    const service = yield* ClientService.make({
      endpoint: Endpoint.happyEyeballs(endpointsOf(racers)),
      connectTimeout: "10 seconds",
      retryPolicy: everySecond,
      ...options
    })
    yield* service.start
    yield* settle
    return { racers, service }
  })

/** Opens a connection, and then never ends. */
const halfOpen: TestEndpoint.Outcome<never> = (_, open) => Effect.zipRight(open(), Effect.never)

/** Opens a connection, and then fails after a while. */
const failing =
  (error: string, after: Duration.DurationInput): TestEndpoint.Outcome<never, string> =>
  (_, open) =>
    Effect.zipRight(open(), Effect.delay(Effect.fail(error), after))

describe("happyEyeballs", () => {
  it.scoped("begins each endpoint 250 milliseconds after the one before, to the millisecond", () =>
    Effect.gen(function* () {
      const { racers } = yield* makeRace("abc", [])
      expect(begunOf(racers)).toEqual([[0], [], []])
      yield* TestClock.adjust("249 millis")
      expect(begunOf(racers)).toEqual([[0], [], []])
      yield* TestClock.adjust("1 millis")
      expect(begunOf(racers)).toEqual([[0], [250], []])
      yield* TestClock.adjust("250 millis")
      expect(begunOf(racers)).toEqual([[0], [250], [500]])
    })
  )

  for (const [delay, begun] of [
    ["1 second", [[0], [1000], [2000]]],
    [0, [[0], [0], [0]]],
    [Duration.infinity, [[0], [], []]]
  ] as const) {
    it.scoped(`takes a delay of ${Duration.format(delay)}`, () =>
      Effect.gen(function* () {
        const racers = yield* makeRacers("abc")
        const endpoint = Endpoint.happyEyeballs(endpointsOf(racers), { delay })
        yield* Effect.forkScoped(endpoint.connect({ lost: () => {} }))
        for (let second = 0; second < 5; second++) yield* TestClock.adjust("1 second")
        expect(begunOf(racers)).toEqual(begun)
      })
    )
  }

  it.scoped("begins the next endpoint at once when one has failed, and counts the delay from there", () =>
    Effect.gen(function* () {
      const { racers } = yield* makeRace("abcd", [
        TestEndpoint.delayed(TestEndpoint.refused("a refused"), "300 millis"),
        TestEndpoint.hung,
        TestEndpoint.hung
      ])
      for (let step = 0; step < 20; step++) yield* TestClock.adjust("50 millis")
      expect(begunOf(racers)).toEqual([[0], [250], [300], [550]])
    })
  )

  it.scoped("runs through endpoints that are refused at once without any delay", () =>
    Effect.gen(function* () {
      const refused = TestEndpoint.refused("refused")
      const { racers, service } = yield* makeRace("abcd", [refused, refused, refused, TestEndpoint.accepted("d")])
      expect(yield* service.whenConnected()).toBe("d")
      expect(begunOf(racers)).toEqual([[0], [0], [0], [0]])
    })
  )

  it.scoped("connects within the delay when the first endpoint is a black hole", () =>
    Effect.gen(function* () {
      const { racers, service } = yield* makeRace("ab", [halfOpen, TestEndpoint.accepted("b")])
      yield* TestClock.adjust("249 millis")
      expect((yield* service.state.get)._tag).toBe("Connecting")
      yield* TestClock.adjust("1 millis")
      expect(yield* service.state.get).toMatchObject({ _tag: "Connected", protocol: "b" })
      expect(yield* openOf(racers)).toEqual([0, 1])
    })
  )

  it.scoped("begins no other endpoint when the first connects within the delay", () =>
    Effect.gen(function* () {
      const { racers, service } = yield* makeRace("ab", [
        TestEndpoint.delayed(TestEndpoint.accepted("a"), "249 millis")
      ])
      yield* TestClock.adjust("249 millis")
      expect(yield* service.whenConnected()).toBe("a")
      yield* TestClock.adjust("1 minute")
      expect(begunOf(racers)).toEqual([[0], []])
    })
  )

  it.scoped("interrupts the losers, and closes what they have acquired", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const { racers } = yield* makeRace("abc", [
        (signal, open) =>
          Effect.onInterrupt(halfOpen(signal, open), () =>
            Effect.sync(() => {
              interrupted += 1
            })
          ),
        halfOpen,
        TestEndpoint.accepted("c")
      ])
      yield* TestClock.adjust("250 millis")
      expect(yield* openOf(racers)).toEqual([1, 1, 0])
      yield* TestClock.adjust("250 millis")
      expect(yield* openOf(racers)).toEqual([0, 0, 1])
      expect(interrupted).toBe(1)
    })
  )

  it.scoped("closes what an endpoint has acquired as soon as that fails, while the race goes on", () =>
    Effect.gen(function* () {
      const { racers } = yield* makeRace("ab", [failing("a failed", "100 millis"), TestEndpoint.hung])
      yield* TestClock.adjust("99 millis")
      expect(yield* openOf(racers)).toEqual([1, 0])
      yield* TestClock.adjust("1 millis")
      expect(yield* openOf(racers)).toEqual([0, 0])
      expect(begunOf(racers)).toEqual([[0], [100]])
    })
  )

  it.scoped("closes a loser at once that ignores its interruption and connects late, and never waits for it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const late: TestEndpoint.Outcome<string> = (_, open) =>
        Effect.uninterruptible(Deferred.await(gate).pipe(Effect.zipRight(open()), Effect.as("late")))
      const { racers, service } = yield* makeRace("ab", [late, TestEndpoint.accepted("b")])
      yield* TestClock.adjust("250 millis")
      expect(yield* service.whenConnected()).toBe("b")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect(yield* racers[0]?.server.opens ?? Effect.succeed(0)).toBe(1)
      expect(yield* openOf(racers)).toEqual([0, 1])
      expect(yield* service.whenConnected()).toBe("b")
    })
  )

  it.scoped("closes at once what a loser holds that ignores its interruption", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { racers, service } = yield* makeRace("ab", [
        (_, open) => Effect.uninterruptible(Effect.as(Effect.zipRight(open(), Deferred.await(gate)), "late")),
        TestEndpoint.accepted("b")
      ])
      yield* TestClock.adjust("250 millis")
      expect(yield* service.whenConnected()).toBe("b")
      expect(yield* openOf(racers)).toEqual([0, 1])
      yield* Deferred.succeed(gate, undefined)
    })
  )

  it.scoped("closes its connection at once although a loser has still not yielded", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { racers, service } = yield* makeRace("ab", [
        TestEndpoint.delayed(TestEndpoint.accepted("a"), "300 millis"),
        () => Effect.uninterruptible(Effect.as(Deferred.await(gate), "late"))
      ])
      yield* TestClock.adjust("300 millis")
      expect(yield* service.whenConnected()).toBe("a")
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* openOf(racers)).toEqual([0, 0])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stop)
    })
  )

  it.scoped("does not let one slow close hold up another", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const slow: TestEndpoint.Outcome<never> = (_, open) =>
        Effect.zipRight(open({ close: Deferred.await(gate) }), Effect.never)
      const { racers } = yield* makeRace("abc", [slow, halfOpen, TestEndpoint.accepted("c")])
      yield* TestClock.adjust("250 millis")
      yield* TestClock.adjust("250 millis")
      expect(yield* openOf(racers)).toEqual([1, 0, 1])
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect(yield* openOf(racers)).toEqual([0, 0, 1])
    })
  )

  it.scoped("lets stop wait until the losers are closed", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { racers, service } = yield* makeRace("ab", [
        (_, open) => Effect.zipRight(open({ close: Deferred.await(gate) }), Effect.never),
        TestEndpoint.accepted("b")
      ])
      yield* TestClock.adjust("250 millis")
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect(stop.unsafePoll()).toBeNull()
      expect(yield* openOf(racers)).toEqual([1, 0])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stop)
      expect(yield* openOf(racers)).toEqual([0, 0])
    })
  )

  describe("the loss", () => {
    const signalling =
      (outcome: TestEndpoint.Outcome<string, string>, signals: Array<Endpoint.ConnectionSignal<string>>) =>
      (...[signal, open]: Parameters<TestEndpoint.Outcome<string, string>>) =>
        Effect.suspend(() => {
          signals.push(signal)
          return outcome(signal, open)
        })

    it.scoped("of a loser never touches the winner, be it before or after the race", () =>
      Effect.gen(function* () {
        const signals: Array<Endpoint.ConnectionSignal<string>> = []
        const { service } = yield* makeRace("ab", [signalling(TestEndpoint.hung, signals), TestEndpoint.accepted("b")])
        signals[0]?.lost("early")
        yield* TestClock.adjust("250 millis")
        signals[0]?.lost("late")
        yield* settle
        expect(signals).toHaveLength(1)
        expect(yield* service.state.get).toMatchObject({ _tag: "Connected", protocol: "b", generation: 1 })
      })
    )

    it.scoped("of the winner reaches the service", () =>
      Effect.gen(function* () {
        const { racers, service } = yield* makeRace("ab", [halfOpen])
        yield* TestClock.adjust("250 millis")
        const connection = yield* (racers[1] ?? expect.fail()).server.accept("b")
        yield* awaitState(service, "Connected")
        yield* connection.drop("dropped")
        yield* awaitState(service, "Waiting")
        expect(yield* service.state.get).toMatchObject({ cause: Cause.fail("dropped") })
        yield* settle
        expect(yield* openOf(racers)).toEqual([0, 0])
      })
    )

    it.scoped("of the winner reaches the service although it came before the race was decided", () =>
      Effect.gen(function* () {
        const { racers, service } = yield* makeRace("a", [
          (signal, open) =>
            Effect.zipRight(
              open(),
              Effect.sync(() => {
                signal.lost("first")
                signal.lost("second")
                return "doomed"
              })
            )
        ])
        expect(yield* service.state.get).toMatchObject({ _tag: "Waiting", cause: Cause.fail("first") })
        expect(yield* openOf(racers)).toEqual([0])
      })
    )
  })

  it.scoped(
    "goes on to the next at once when only the loss of one tells that it has failed, and fails when all have",
    () =>
      Effect.gen(function* () {
        const losing =
          (error: string) =>
          (...[signal]: Parameters<TestEndpoint.Outcome<string, string>>) =>
            Effect.zipRight(
              Effect.sync(() => signal.lost(error)),
              Effect.never
            )
        const { service } = yield* makeRace("ab", [losing("a refused"), losing("b refused")])
        yield* awaitState(service, "Waiting")
        const state = yield* service.state.get
        const error = state._tag === "Waiting" ? Cause.squash(state.cause) : expect.fail(state._tag)
        expect(error).toMatchObject({
          failures: [{ cause: Cause.fail("a refused") }, { cause: Cause.fail("b refused") }]
        })
      })
  )

  it.scoped("fails with all causes when all endpoints fail, in the order in which they failed", () =>
    Effect.gen(function* () {
      const { racers, service } = yield* makeRace("abcd", [
        failing("a failed", "600 millis"),
        () => Effect.die("b died"),
        () => {
          throw "c threw"
        },
        () => Effect.interrupt
      ])
      for (let step = 0; step < 12; step++) yield* TestClock.adjust("50 millis")
      const state = yield* service.state.get
      const error = state._tag === "Waiting" ? Cause.squash(state.cause) : expect.fail(state._tag)
      if (!(error instanceof EndpointsFailed.EndpointsFailed)) return expect.fail(String(error))
      expect(error.failures).toMatchObject([
        { endpoint: "b", cause: Cause.die("b died") },
        { endpoint: "c", cause: Cause.die("c threw") },
        { endpoint: "d", cause: { _tag: "Interrupt" } },
        { endpoint: "a", cause: Cause.fail("a failed") }
      ])
      expect(error.message).toBe("b: b died; c: c threw; d: interrupted; a: a failed")
      expect(yield* openOf(racers)).toEqual([0, 0, 0, 0])
    })
  )

  for (const [what, end] of [
    ["stop", (service: ClientService.ClientService<string, unknown>) => service.stop],
    ["connectTimeout", () => TestClock.adjust("10 seconds")]
  ] as const) {
    it.scoped(`${what} in the middle of the race closes all that the endpoints have acquired`, () =>
      Effect.gen(function* () {
        const { racers, service } = yield* makeRace("abc", [halfOpen, halfOpen, halfOpen])
        yield* TestClock.adjust("250 millis")
        yield* TestClock.adjust("250 millis")
        expect(yield* openOf(racers)).toEqual([1, 1, 1])
        yield* end(service)
        expect(yield* openOf(racers)).toEqual([0, 0, 0])
      })
    )

    it.scoped(`${what} in the middle of the race closes the others although one ignores its interruption`, () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { racers, service } = yield* makeRace("abc", [
          halfOpen,
          (_, open) => Effect.uninterruptible(Deferred.await(gate).pipe(Effect.zipRight(open()), Effect.as("late"))),
          halfOpen
        ])
        yield* TestClock.adjust("250 millis")
        yield* TestClock.adjust("250 millis")
        const ending = yield* Effect.fork(end(service))
        yield* settle
        if (what === "connectTimeout") yield* Fiber.join(ending)
        expect(yield* openOf(racers)).toEqual([0, 0, 0])
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        expect(yield* (racers[1] ?? expect.fail()).server.opens).toBe(1)
        expect(yield* openOf(racers)).toEqual([0, 0, 0])
        yield* Fiber.join(ending)
      })
    )
  }

  for (const combine of [Endpoint.happyEyeballs, Endpoint.failover]) {
    it.scoped(`connects to the endpoints that it was given, whatever becomes of their list: ${combine.name}`, () =>
      Effect.gen(function* () {
        const endpoints = [Endpoint.make({ name: "a", connect: () => Effect.succeed("from a") })]
        const combined = combine(endpoints)
        endpoints.pop()
        const connecting = yield* Effect.fork(combined.connect({ lost: () => {} }))
        yield* settle
        expect(connecting.unsafePoll()).toEqual(Exit.succeed("from a"))
      })
    )
  }

  it.scoped("races afresh for the next connection", () =>
    Effect.gen(function* () {
      const { racers, service } = yield* makeRace("ab", [TestEndpoint.accepted("a"), TestEndpoint.accepted("b")])
      expect(yield* service.whenConnected()).toBe("a")
      yield* service.reconnect
      yield* TestClock.adjust("250 millis")
      expect(yield* service.whenConnected()).toBe("b")
      expect(yield* openOf(racers)).toEqual([0, 1])
    })
  )

  it.scoped("passes the end of its Scope on to the finalizers of the winner", () =>
    Effect.gen(function* () {
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const endpoint = Endpoint.happyEyeballs([
        Endpoint.make({
          name: "a",
          connect: () => Effect.addFinalizer((exit) => Effect.sync(() => exits.push(exit)))
        })
      ])
      const scope = yield* Scope.make()
      yield* Scope.extend(endpoint.connect({ lost: () => {} }), scope)
      yield* Scope.close(scope, Exit.fail("lost"))
      expect(exits).toEqual([Exit.fail("lost")])
    })
  )

  for (const [outcome, outcomes] of [
    ["is won", [TestEndpoint.hung, TestEndpoint.accepted("b")]],
    ["fails", [TestEndpoint.refused("a"), TestEndpoint.refused("b")]],
    ["is stopped", [TestEndpoint.hung, TestEndpoint.hung]]
  ] as const) {
    it.scoped(`leaves no timer when it ${outcome}`, () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { racers, service } = yield* makeRace("ab", outcomes)
          yield* TestClock.adjust("250 millis")
          if (outcome === "is won") expect(timers.pending()).toBe(0)
          yield* service.stop
          expect(timers.pending()).toBe(0)
          expect(yield* openOf(racers)).toEqual([0, 0])
        })
      )
    )
  }

  it("of no endpoint, or with a delay that is none, is refused", () => {
    const endpoint = Endpoint.make({ name: "a", connect: () => Effect.void })
    expect(() => Endpoint.happyEyeballs([])).toThrow("Endpoint.happyEyeballs: endpoints must be one endpoint or more")
    for (const delay of [-1, Number.NaN]) {
      expect(() => Endpoint.happyEyeballs([endpoint], { delay })).toThrow("delay must be a duration of zero or more")
    }
  })

  it("never has two winners, begins the endpoints in order, and closes every connection but the winner's", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            after: fc.integer({ min: 0, max: 12 }),
            outcome: fc.constantFrom("accept", "refuse", "die", "hang"),
            opensFirst: fc.boolean(),
            ignoresInterruption: fc.boolean(),
            slowClose: fc.boolean()
          }),
          { minLength: 1, maxLength: 5 }
        ),
        fc.integer({ min: 0, max: 5 }),
        fc.option(fc.integer({ min: 0, max: 30 })),
        (scripts, delay, interruptAt) => Effect.runPromise(runRace(scripts, delay, interruptAt))
      ),
      { numRuns: 400 }
    ))
})

interface Script {
  /** Milliseconds. */
  readonly after: number
  readonly outcome: "accept" | "refuse" | "die" | "hang"
  /** Whether the connection is open from the beginning, or only when it is accepted. */
  readonly opensFirst: boolean
  readonly ignoresInterruption: boolean
  readonly slowClose: boolean
}

const runRace = (scripts: ReadonlyArray<Script>, delay: number, interruptAt: number | null) => {
  // TestClock waits for real milliseconds at each step.
  const clock = new ScriptClock()
  const pass = Effect.suspend(() => {
    clock.moveTo(clock.now + 1, nothing, nothing)
    return settle
  })
  return Effect.gen(function* () {
    const racers = yield* makeRacers("abcde".slice(0, scripts.length))
    yield* script(racers, ...racers.map(({ name }, index) => outcomeOf(name, scripts[index] ?? expect.fail())))
    const scope = yield* Scope.make()
    const won: Array<string> = []
    const race = yield* Endpoint.happyEyeballs(endpointsOf(racers), { delay })
      .connect({ lost: nothing })
      .pipe(
        Effect.tap((name) => Effect.sync(() => won.push(name))),
        Scope.extend(scope),
        Effect.fork
      )
    yield* settle
    // Longer than all delays, outcomes and closes together.
    for (let millis = 0; millis < 50; millis++) {
      if (millis === interruptAt) yield* Fiber.interruptFork(race)
      yield* pass
      const open = yield* openOf(racers)
      if (won.length > 0) expect(open[racers.findIndex(({ name }) => name === won[0])]).toBe(1)
    }
    const begun = racers.flatMap(({ begun }) => begun)
    expect(begun).toEqual([...begun].sort((a, b) => a - b))
    expect(won.length).toBeLessThanOrEqual(1)

    const exit = race.unsafePoll()
    const open = (yield* openOf(racers)).reduce((sum, open) => sum + open, 0)
    if (exit === null) {
      expect(won).toEqual([])
      expect(scripts.some(({ outcome }) => outcome === "hang")).toBe(true)
    } else if (Exit.isSuccess(exit)) {
      expect(won).toEqual([exit.value])
      expect(open).toBe(1)
      expect(clock.sleeping).toBe(0)
    } else if (!Exit.isInterrupted(exit)) {
      expect(scripts.some(({ outcome }) => outcome === "accept" || outcome === "hang")).toBe(false)
      expect(open).toBe(0)
      expect(clock.sleeping).toBe(0)
    }
    const closing = yield* Effect.fork(Effect.zipRight(Fiber.interrupt(race), Scope.close(scope, Exit.void)))
    for (let millis = 0; millis < 20; millis++) yield* pass
    expect(closing.unsafePoll()).toEqual(Exit.void)
    expect(yield* openOf(racers)).toEqual(racers.map(() => 0))
    expect(clock.sleeping).toBe(0)
  }).pipe(Effect.withClock(clock))
}

const nothing = () => {}

const outcomeOf =
  (
    name: string,
    { after, ignoresInterruption, opensFirst, outcome, slowClose }: Script
  ): TestEndpoint.Outcome<string, string> =>
  (_, open) => {
    const opened = open(slowClose ? { close: Effect.sleep("3 millis") } : {})
    const ended: Record<Script["outcome"], Effect.Effect<string, string>> = {
      accept: Effect.succeed(name),
      refuse: Effect.fail("refused"),
      die: Effect.die("boom"),
      hang: Effect.never
    }
    const attempt = Effect.gen(function* () {
      if (opensFirst) yield* opened
      yield* Effect.sleep(after)
      const answer = yield* ended[outcome]
      if (!opensFirst) yield* opened
      return answer
    })
    return ignoresInterruption && outcome !== "hang" ? Effect.uninterruptible(attempt) : attempt
  }
