import { setImmediate } from "node:timers/promises"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Effect,
  Exit,
  Fiber,
  Logger,
  Option,
  Random,
  Schedule,
  ScheduleDecision,
  ScheduleInterval,
  Scope,
  Stream,
  TestClock,
  Tracer
} from "effect"
import {
  ClientService,
  ClientServiceMap,
  ConnectionError,
  Endpoint,
  EndpointsFailed,
  Exchange,
  Framing,
  RetryPolicy,
  TestEndpoint,
  type Transport
} from "effect-client-service"
import { withoutRealTimers } from "./properties/realTimers.js"
import { Bench } from "./support/bench.js"
import { awaitState, settle } from "./support/fixture.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

/** A service that is connected to the first connection of a test endpoint. */
const connected = (
  options: ClientService.CommonOptions<string, string, Effect.Effect<unknown>, Effect.Effect<unknown>, never>
) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond, ...options })
    yield* service.start
    const connection = yield* server.accept("first")
    yield* awaitState(service, "Connected")
    return { connection, server, service }
  })

const isLost = (exit: Exit.Exit<unknown, unknown> | null): boolean =>
  exit !== null &&
  Exit.isFailure(exit) &&
  Option.exists(Cause.failureOption(exit.cause), (error) => error instanceof ConnectionError.ConnectionLost)

/**
 * Plays a scene again and again: each time another step is the one that a fiber is held at, in all that follows of
 * `first`, until all that follows of `between` has come to rest.
 */
const atEveryStep = async <A>(scene: {
  readonly make: (bench: Bench) => A
  readonly first: (a: A) => Effect.Effect<unknown, unknown>
  readonly between: (a: A) => ReadonlyArray<Effect.Effect<unknown, unknown>>
  /** Tells what is wrong in the end. */
  readonly problem: (a: A, bench: Bench) => string | undefined
  /** How many steps are looked at. By default, all are. */
  readonly steps?: number
}): Promise<ReadonlyArray<string>> => {
  const problems: Array<string> = []
  const { steps = Number.POSITIVE_INFINITY } = scene
  for (let held = 1, wasHeld = true; wasHeld && held <= steps; held++) {
    if (held > 3000) throw new Error("there is no end of steps")
    wasHeld = withoutRealTimers(() => {
      let step = Number.NaN
      let isHeld = false
      const bench = new Bench((_, isNote) => {
        // A step that only notes what is to come next is no other for those who come in between.
        if (!isNote) step += 1
        if (isNote || step !== held) return "goes on"
        isHeld = true
        return "is held"
      })
      const made = bench.scheduler.undisturbed(() => scene.make(bench))
      step = 0
      bench.fork(scene.first(made))
      bench.drain(() => isHeld)
      for (const effect of scene.between(made)) {
        // One after the other, each to its end but for what is held.
        bench.fork(effect)
        bench.drain(() => bench.scheduler.ready === 0)
      }
      bench.drain()
      const problem = bench.scheduler.undisturbed(() => scene.problem(made, bench))
      if (problem !== undefined) problems.push(`held at step ${held}: ${problem}`)
      return isHeld
    })
    // For Vitest, which gives up a worker that does not answer.
    if (held % 20 === 0) await setImmediate()
  }
  return problems
}

describe("use in an uninterruptible caller", () => {
  for (const [what, f] of [
    ["is done at once", () => Effect.succeed(1)],
    ["never ends", () => Effect.never],
    ["waits for its own", () => Effect.zipRight(Effect.yieldNow(), Effect.never)]
  ] as const) {
    it.scoped(`ends with its connection, though what it runs ${what}`, () =>
      Effect.gen(function* () {
        const { connection, service } = yield* connected({})
        const using = yield* Effect.forkDaemon(Effect.uninterruptible(service.use(f)))
        yield* Effect.yieldNow()
        yield* connection.drop()
        yield* settle
        const exit = using.unsafePoll()
        expect(isLost(exit) || (what === "is done at once" && exit?._tag === "Success")).toBe(true)
      })
    )
  }

  it.scoped("ends in a finalizer, too", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* connected({})
      const scope = yield* Scope.make()
      yield* Scope.addFinalizer(scope, Effect.ignore(service.use(() => Effect.never)))
      const closing = yield* Effect.forkDaemon(Scope.close(scope, Exit.void))
      yield* settle
      expect(closing.unsafePoll()).toBeNull()
      yield* connection.drop()
      yield* settle
      expect(closing.unsafePoll()).not.toBeNull()
    })
  )

  it.scoped("ends when the service stops", () =>
    Effect.gen(function* () {
      const { service } = yield* connected({})
      const using = yield* Effect.forkDaemon(Effect.uninterruptible(service.use(() => Effect.never)))
      yield* settle
      yield* service.stop
      yield* settle
      expect(isLost(using.unsafePoll())).toBe(true)
    })
  )

  it.scoped("waits for a connection no longer than maxWait", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* connected({})
      yield* connection.drop()
      const using = yield* Effect.forkDaemon(
        Effect.uninterruptible(service.use(() => Effect.never, { maxWait: "300 millis" }))
      )
      yield* settle
      yield* TestClock.adjust("300 millis")
      yield* settle
      expect(using.unsafePoll()).toMatchObject({ cause: { error: { _tag: "NotConnected" } } })
    })
  )

  it.scoped("ends a promise with its connection", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* connected({})
      const aborted: Array<boolean> = []
      const using = yield* Effect.forkDaemon(
        Effect.uninterruptible(
          service.usePromise((_, signal) => {
            signal.addEventListener("abort", () => aborted.push(signal.aborted))
            return new Promise<never>(() => {})
          })
        )
      )
      yield* settle
      yield* connection.drop()
      yield* settle
      expect(isLost(using.unsafePoll())).toBe(true)
      expect(aborted).toEqual([true])
    })
  )

  it.scoped("ends a stream over connections when the service stops", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* connected({})
      const seen: Array<string> = []
      const reading = yield* Effect.forkDaemon(
        Effect.uninterruptible(
          Stream.runForEach(
            ClientService.stream(service, (protocol) => Stream.concat(Stream.make(protocol), Stream.never)),
            (protocol) => Effect.sync(() => seen.push(protocol))
          )
        )
      )
      yield* settle
      yield* connection.drop()
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      yield* settle
      expect(seen).toEqual(["first", "second"])
      yield* Effect.fork(service.stop)
      yield* settle
      expect(reading.unsafePoll()).toMatchObject({ cause: { error: { _tag: "ServiceStopped" } } })
    })
  )
})

describe("a use of a connection that was replaced because of its age", () => {
  const replaced = Effect.gen(function* () {
    const { connection, server, service } = yield* connected({ maxAge: "1 minute", closeTimeout: "1 hour" })
    const gate = yield* Effect.makeLatch()
    const using = yield* Effect.fork(service.use((protocol) => Effect.as(gate.await, protocol)))
    yield* settle
    yield* TestClock.adjust("1 minute")
    const second = yield* server.accept("second")
    yield* settle
    expect(yield* service.whenConnected()).toBe("second")
    return { connection, second, server, service, using, gate }
  })

  it.scoped("goes on when the successor is lost", () =>
    Effect.gen(function* () {
      const { connection, gate, second, using } = yield* replaced
      yield* second.drop()
      yield* settle
      yield* TestClock.adjust("1 minute")
      expect(using.unsafePoll()).toBeNull()
      expect(yield* connection.closed).toBe(false)
      yield* gate.open
      yield* settle
      expect(using.unsafePoll()).toEqual(Exit.succeed("first"))
      expect(yield* connection.closed).toBe(true)
    })
  )

  it.scoped("keeps the next attempt waiting, when the successor is lost, for closeTimeout at most", () =>
    Effect.gen(function* () {
      const { connection, second, server, using } = yield* replaced
      yield* second.drop()
      yield* settle
      yield* TestClock.adjust("59 minutes")
      expect(yield* server.attempts).toBe(2)
      yield* TestClock.adjust("1 minute")
      expect(isLost(using.unsafePoll())).toBe(true)
      expect(yield* connection.closed).toBe(true)
      yield* settle
      expect(yield* server.attempts).toBe(3)
    })
  )

  it.scoped("goes on when the successor is replaced by reconnect", () =>
    Effect.gen(function* () {
      const { gate, service, using } = yield* replaced
      yield* service.reconnect
      yield* settle
      expect(using.unsafePoll()).toBeNull()
      yield* gate.open
      yield* settle
      expect(using.unsafePoll()).toEqual(Exit.succeed("first"))
    })
  )

  it.scoped("ends when its own connection is lost", () =>
    Effect.gen(function* () {
      const { connection, service, using } = yield* replaced
      yield* connection.drop()
      yield* settle
      expect(isLost(using.unsafePoll())).toBe(true)
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  it.scoped("ends when the service stops", () =>
    Effect.gen(function* () {
      const { service, using } = yield* replaced
      yield* service.stop
      yield* settle
      expect(isLost(using.unsafePoll())).toBe(true)
    })
  )
})

describe("has a Scope of its own:", () => {
  const counted = () => {
    const counts = { acquired: 0, released: 0 }
    const acquire = Effect.acquireRelease(
      Effect.sync(() => {
        counts.acquired += 1
      }),
      () =>
        Effect.sync(() => {
          counts.released += 1
        })
    )
    return { counts, acquire }
  }

  it.scoped("a probe", () =>
    Effect.gen(function* () {
      const { acquire, counts } = counted()
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        heartbeat: { probe: () => acquire, interval: "1 second", timeout: "1 second" }
      })
      yield* service.start
      yield* server.accept("first")
      yield* settle
      for (let beat = 1; beat <= 3; beat++) {
        yield* TestClock.adjust("1 second")
        expect(counts).toEqual({ acquired: beat, released: beat })
      }
    })
  )

  it.scoped("a probe that has no answer", () =>
    Effect.gen(function* () {
      const { acquire, counts } = counted()
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        heartbeat: {
          probe: () => Effect.zipRight(acquire, Effect.never),
          interval: "1 second",
          timeout: "1 second"
        }
      })
      yield* service.start
      yield* server.accept("first")
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      expect(counts).toEqual({ acquired: 1, released: 1 })
    })
  )

  it.scoped("each step of a policy", () =>
    Effect.gen(function* () {
      const { acquire, counts } = counted()
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: Schedule.tapInput(Schedule.spaced("1 second"), () => acquire)
      })
      yield* service.start
      for (let failure = 1; failure <= 3; failure++) {
        yield* server.refuse("refused")
        yield* settle
        expect(counts).toEqual({ acquired: failure, released: failure })
        yield* TestClock.adjust("1 second")
      }
    })
  )
})

describe("at any step of the service,", { timeout: 120_000 }, () => {
  const make = (bench: Bench) => {
    const server = bench.evaluate(TestEndpoint.make<string, string>())
    const scope = bench.evaluate(Scope.make())
    const service = bench.evaluate(
      Scope.extend(ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond }), scope)
    )
    const states: Array<string> = []
    const protocols: Array<Option.Option<string>> = []
    const ended: Array<string> = []
    const waiter: { exit?: Exit.Exit<unknown, unknown> } = {}
    const wait = (options: { readonly failAfterFailures: number }) =>
      Effect.map(Effect.exit(service.whenConnected(options)), (exit) => {
        waiter.exit = exit
      })
    return { scope, server, service, states, protocols, ended, waiter, wait }
  }

  type Made = ReturnType<typeof make>

  const watched = (bench: Bench): Made => {
    const made = make(bench)
    const { ended, protocols, service, states } = made
    const watch = <A>(what: string, changes: Stream.Stream<A>, seen: (a: A) => void) =>
      bench.watch(
        Effect.zipRight(
          Stream.runForEach(changes, (a) => Effect.sync(() => seen(a))),
          Effect.sync(() => ended.push(what))
        )
      )
    watch("states", service.state.changes, ({ _tag }) => states.push(_tag))
    watch("protocols", service.protocol.changes, (protocol) => protocols.push(protocol))
    bench.drain()
    return made
  }

  const disagreement = ({ protocols, service, states }: Made, bench: Bench): string | undefined => {
    const { _tag } = bench.evaluate(service.state.get)
    const protocol = bench.evaluate(service.protocol.get)
    const lastProtocol = protocols[protocols.length - 1]
    if (states[states.length - 1] !== _tag) return `${states.join(", ")} does not end with ${_tag}`
    return String(lastProtocol) === String(protocol)
      ? undefined
      : `the last protocol is ${lastProtocol}, not ${protocol}`
  }

  it("a waiter until a failure hears of it beside a stop and a start", async () => {
    const problems = await atEveryStep({
      make: (bench) => {
        const made = make(bench)
        bench.run(made.service.start)
        return made
      },
      first: ({ wait }) => wait({ failAfterFailures: 1 }),
      between: ({ service }) => [service.stop, service.start],
      problem: ({ server, waiter }, bench) => {
        if (waiter.exit !== undefined) return undefined
        bench.run(server.refuse("refused"))
        return waiter.exit === undefined ? "the waiter has not heard" : undefined
      }
    })
    expect(problems).toEqual([])
  })

  it("a waiter hears of the end of the service beside a stop", async () => {
    for (const end of ["stop", "refuse"] as const) {
      const problems = await atEveryStep({
        make: (bench) => {
          const made = make(bench)
          bench.run(made.service.start)
          return made
        },
        first: ({ wait }) => wait({ failAfterFailures: 1 }),
        between: ({ server, service }) => [end === "stop" ? service.stop : server.refuse("refused")],
        problem: ({ server, waiter }, bench) => {
          if (waiter.exit !== undefined) return undefined
          bench.pass(1000)
          // It has begun to wait after the attempt had failed.
          if (end === "refuse") bench.run(server.refuse("refused again"))
          return waiter.exit === undefined ? "the waiter has not heard" : undefined
        }
      })
      expect(problems).toEqual([])
    }
  })

  for (const [first, second, prelude] of [
    ["start", "stop", "stop"],
    ["stop", "start", "connect"],
    ["reconnect", "stop", "refuse"]
  ] as const) {
    it(`${first} beside ${second}: the changes end with the state and the protocol that there are`, async () => {
      const problems = await atEveryStep({
        make: (bench) => {
          const made = watched(bench)
          const { server, service } = made
          bench.run(service.start)
          if (prelude === "connect") bench.run(server.accept("first"))
          if (prelude === "refuse") bench.run(server.refuse("refused"))
          if (prelude === "stop") bench.run(service.stop)
          return made
        },
        first: ({ service }) => service[first],
        between: ({ service }) => [service[second], service[first]],
        problem: disagreement
      })
      expect(problems).toEqual([])
    })
  }

  it("a stop beside the end of the owner Scope: the changes tell of all, and end", async () => {
    const problems = await atEveryStep({
      make: watched,
      first: ({ service }) => service.stop,
      between: ({ scope }) => [Scope.close(scope, Exit.void)],
      problem: (made, bench) => (made.ended.length < 2 ? `only ${made.ended} ended` : disagreement(made, bench)),
      // Those of the stop.
      steps: 25
    })
    expect(problems).toEqual([])
  })

  it("whoever comes to watch beside the end of the owner Scope is told of the last state, and of the end", async () => {
    const problems = await atEveryStep({
      make,
      first: ({ ended, service }) =>
        Stream.runForEach(service.state.changes, ({ _tag }) => Effect.sync(() => ended.push(_tag))),
      between: ({ scope }) => [Scope.close(scope, Exit.void)],
      problem: ({ ended }, bench) => {
        if (bench.size > 0) return "the changes go on"
        return ended[ended.length - 1] === "Stopped" ? undefined : `the states are ${ended}`
      },
      // Those of whoever comes.
      steps: 100
    })
    expect(problems).toEqual([])
  })

  it("no attempt connects once a stop has been called", async () => {
    const problems = await atEveryStep({
      make: (bench) => {
        const scope = bench.evaluate(Scope.make())
        const made: { late: boolean; service?: ClientService.ClientService<void> } = { late: false }
        const endpoint = Endpoint.make({
          name: "counted",
          connect: () =>
            Effect.sync(() => {
              made.late ||= !`${made.service}`.includes("Connecting")
            })
        })
        const service = bench.evaluate(Scope.extend(ClientService.make({ endpoint }), scope))
        made.service = service
        bench.fork(service.start)
        // The loop has begun the attempt, whose fiber has not run yet.
        bench.scheduler.step()
        return { made, service }
      },
      first: ({ service }) => service.stop,
      between: () => [],
      problem: ({ made }) => (made.late ? "an attempt connects for a service that stops" : undefined)
    })
    expect(problems).toEqual([])
  })

  it("a waiter that a connection has woken hears of the end beside a start", async () => {
    const problems = await atEveryStep({
      make: (bench) => {
        const made = watched(bench)
        bench.run(made.service.start)
        bench.fork(made.wait({ failAfterFailures: 2 }))
        return made
      },
      first: ({ server }) => server.accept("first"),
      between: ({ service }) => [service.stop, service.start],
      problem: ({ states, waiter }) =>
        waiter.exit === undefined && states.includes("Stopped") ? "the waiter has not heard" : undefined
    })
    expect(problems).toEqual([])
  })

  it("a stream over connections ends beside a stop", async () => {
    const problems = await atEveryStep({
      make: (bench) => {
        const made = make(bench)
        const consume = ClientService.stream(made.service, () => Stream.fromEffect(Effect.async<never>(() => {})))
        bench.run(made.service.start)
        bench.fork(
          Effect.map(Effect.exit(Stream.runDrain(consume)), (exit) => {
            made.waiter.exit = exit
          })
        )
        bench.drain()
        return made
      },
      first: ({ server }) => server.accept("first"),
      between: ({ service }) => [service.stop],
      problem: ({ waiter }) => (waiter.exit === undefined ? "the stream goes on" : undefined)
    })
    expect(problems).toEqual([])
  })

  it("a use that begins beside a loss ends", async () => {
    for (const uninterruptible of [false, true]) {
      const problems = await atEveryStep({
        make: (bench) => {
          const made = make(bench)
          bench.run(made.service.start)
          const exit = bench.run(made.server.accept("first"))
          if (exit?._tag !== "Success") throw new Error("not accepted")
          return { ...made, connection: exit.value }
        },
        first: ({ service, waiter }) => {
          const use = Effect.map(Effect.exit(service.use(() => Effect.never)), (exit) => {
            waiter.exit = exit
          })
          return uninterruptible ? Effect.uninterruptible(use) : use
        },
        between: ({ connection }) => [connection.drop("dropped")],
        problem: ({ server, service, waiter }, bench) => {
          if (waiter.exit !== undefined) return isLost(waiter.exit) ? undefined : `it ends with ${waiter.exit}`
          // It has not begun before, so it waits for the next one.
          bench.pass(1000)
          bench.run(server.accept("second"))
          if (waiter.exit !== undefined) return `it ends with ${waiter.exit}`
          bench.run(service.stop)
          return isLost(waiter.exit ?? null) ? undefined : "it goes on"
        }
      })
      expect(problems).toEqual([])
    }
  })
})

describe("the loop goes on when", () => {
  const boom = Effect.die("boom")
  const brokenRandom: Random.Random = {
    ...{ [Random.RandomTypeId]: Random.RandomTypeId, next: boom, nextBoolean: boom, nextInt: boom },
    ...{ nextRange: () => boom, nextIntBetween: () => boom, shuffle: () => boom }
  }

  /** Connects, loses the connection, and connects again. */
  const cycle = <R = never>(options: ClientService.CommonOptions<string, string, never, never, R>) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond, ...options })
      yield* service.start
      const first = yield* server.accept("first")
      yield* settle
      expect(yield* service.protocol.get).toEqual(Option.some("first"))
      yield* first.drop("dropped")
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Waiting")
      // The default policy draws half a second at most.
      yield* TestClock.adjust("1 second")
      const second = yield* server.accept("second")
      yield* settle
      expect(yield* service.protocol.get).toEqual(Option.some("second"))
      expect(yield* second.closed).toBe(false)
      yield* service.stop
    })

  it.scoped("a Random dies that draws the age of a connection", () =>
    Effect.withRandom(cycle({ maxAge: "1 hour" }), brokenRandom)
  )

  it.scoped("a Random throws", () => {
    const throws = () => {
      throw new Error("boom")
    }
    const random: Random.Random = { ...brokenRandom, nextRange: throws }
    return Effect.withRandom(cycle({ maxAge: "1 hour" }), random)
  })

  it.scoped("a Random dies that the policy draws its delays from", () =>
    Effect.withRandom(cycle({ retryPolicy: RetryPolicy.fullJitter() }), brokenRandom)
  )

  it.scoped("a logger throws", () =>
    cycle({}).pipe(
      Effect.provide(
        Logger.replace(
          Logger.defaultLogger,
          Logger.make(() => {
            throw new Error("boom")
          })
        )
      )
    )
  )

  it.scoped("a tracer throws", () =>
    Effect.withTracer(
      cycle({}),
      Tracer.make({
        span: () => {
          throw new Error("boom")
        },
        context: (f) => f()
      })
    )
  )

  it.scoped("the end of a span throws", () =>
    Effect.gen(function* () {
      const tracer = yield* Effect.tracer
      yield* Effect.withTracer(
        cycle({}),
        Tracer.make({
          span: (...options) =>
            Object.assign(tracer.span(...options), {
              end: () => {
                throw new Error("boom")
              }
            }),
          context: (f) => f()
        })
      )
    })
  )
})

describe("ClientServiceMap, at any step", { timeout: 120_000 }, () => {
  const key = "a"

  const make = (idleTimeToLive: number, users: number) => (bench: Bench) => {
    const counts = { opens: 0, closes: 0, lookups: 0, most: 0 }
    const owner = bench.evaluate(Scope.make())
    const map = bench.evaluate(
      ClientServiceMap.make({
        idleTimeToLive,
        lookup: () => {
          counts.lookups += 1
          return ClientService.make({
            endpoint: Endpoint.make({
              name: key,
              connect: () =>
                Effect.acquireRelease(
                  Effect.sync(() => {
                    counts.opens += 1
                    counts.most = Math.max(counts.most, counts.opens - counts.closes)
                  }),
                  () =>
                    Effect.sync(() => {
                      counts.closes += 1
                    })
                )
            }),
            retryPolicy: everySecond
          })
        }
      }).pipe(Scope.extend(owner))
    )
    const scopes = Array.from({ length: users }, () => bench.evaluate(Scope.make()))
    const gotten: Array<ClientService.ClientService<void>> = []
    const get = Effect.gen(function* () {
      const scope = yield* Scope.make()
      scopes.push(scope)
      const service = yield* Scope.extend(map.get(key), scope)
      gotten.push(service)
      return service
    })
    for (const scope of scopes.slice()) {
      bench.run(
        Scope.extend(
          Effect.map(map.get(key), (service) => gotten.push(service)),
          scope
        )
      )
    }
    const giveBack = Effect.suspend(() => {
      const scope = scopes.shift()
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })
    return { bench, counts, get, giveBack, gotten, map, owner, scopes, closeOwner: Scope.close(owner, Exit.void) }
  }

  type Made = ReturnType<ReturnType<typeof make>>

  /** Gives everything back, and tells what is left. */
  const leftovers = ({ counts, gotten, owner, scopes }: Made, bench: Bench): string | undefined => {
    const used = gotten[gotten.length - 1]
    if (scopes.length > 0 && used !== undefined && bench.run(used.whenConnected())?._tag !== "Success") {
      return "what was gotten last is not connected"
    }
    for (const scope of scopes) bench.run(Scope.close(scope, Exit.void))
    bench.pass(10_000)
    if (counts.opens !== counts.closes) return `${counts.opens - counts.closes} connections are left`
    bench.run(Scope.close(owner, Exit.void))
    return bench.clock.sleeping === 0 ? undefined : `${bench.clock.sleeping} sleeps are left`
  }

  const never2 = (made: Made, bench: Bench): string | undefined =>
    made.counts.most > 1 ? `${made.counts.most} connections at a time` : leftovers(made, bench)

  const idle = (bench: Bench) => {
    const made = make(1000, 1)(bench)
    bench.run(made.giveBack)
    return made
  }

  it("an invalidate of what nobody uses and a get beside each other make one connection at a time", async () => {
    const invalidate = ({ map }: Made) => map.invalidate(key)
    const get = ({ get }: Made) => get
    expect(
      await atEveryStep({ make: idle, first: invalidate, between: (made) => [made.get], problem: never2 })
    ).toEqual([])
    expect(
      await atEveryStep({ make: idle, first: get, between: ({ map }) => [map.invalidate(key)], problem: never2 })
    ).toEqual([])
  })

  it("a release and a get beside each other make one connection at a time", async () => {
    for (const timeToLive of [0, 1000]) {
      const made = make(timeToLive, 1)
      expect(
        await atEveryStep({
          make: made,
          first: ({ giveBack }) => giveBack,
          between: ({ get }) => [get],
          problem: never2
        })
      ).toEqual([])
      expect(
        await atEveryStep({
          make: made,
          first: ({ get }) => get,
          between: ({ get, giveBack }) => [giveBack, get],
          problem: never2
        })
      ).toEqual([])
    }
  })

  it("the end of the time to live and a get beside each other give what is connected", async () => {
    const expire = ({ bench }: Made) =>
      Effect.sync(() =>
        bench.clock.moveTo(
          bench.clock.now + 1000,
          () => {},
          () => {}
        )
      )
    expect(await atEveryStep({ make: idle, first: expire, between: ({ get }) => [get], problem: never2 })).toEqual([])
    expect(
      await atEveryStep({ make: idle, first: ({ get }) => get, between: (made) => [expire(made)], problem: never2 })
    ).toEqual([])
  })

  it("closing the owner and a get beside each other give a service that is stopped", async () => {
    const stopped = ({ counts, gotten }: Made, bench: Bench): string | undefined => {
      if (gotten.length === 0) return "nothing was gotten"
      for (const service of gotten) {
        const exit = bench.run(service.whenConnected())
        if (exit?._tag !== "Failure") return "it is not stopped"
      }
      return counts.opens === counts.closes ? undefined : `${counts.opens - counts.closes} connections are left`
    }
    const none = make(1000, 0)
    expect(
      await atEveryStep({ make: none, first: ({ get }) => get, between: (made) => [made.closeOwner], problem: stopped })
    ).toEqual([])
    expect(
      await atEveryStep({ make: idle, first: ({ get }) => get, between: (made) => [made.closeOwner], problem: stopped })
    ).toEqual([])
    expect(
      await atEveryStep({
        make: idle,
        first: ({ closeOwner }) => closeOwner,
        between: ({ get }) => [get],
        problem: stopped
      })
    ).toEqual([])
  })

  it("closing the owner and a get beside each other make no second connection of what is in use", async () => {
    expect(
      await atEveryStep({
        make: make(1000, 1),
        first: ({ closeOwner }) => closeOwner,
        between: ({ get }) => [get],
        problem: ({ counts }) => (counts.most > 1 ? `${counts.most} connections at a time` : undefined)
      })
    ).toEqual([])
  })

  it("a get that is interrupted leaves nothing behind", async () => {
    expect(
      await atEveryStep({
        make: (bench) => ({ ...make(0, 0)(bench), user: bench.evaluate(Scope.make()) }),
        first: ({ map, user }) => Effect.forkIn(Effect.scoped(Effect.zipRight(map.get(key), Effect.never)), user),
        between: ({ user }) => [Scope.close(user, Exit.void)],
        problem: ({ counts, map }, bench) =>
          bench.evaluate(map.keys).length > 0 || counts.opens !== counts.closes ? "it leaves something" : undefined
      })
    ).toEqual([])
  })
})

describe("a waiter until a failure hears of the failed attempt", () => {
  const rejected = { reason: "not today" }

  it.scoped("before it is closed", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.makeLatch()
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({
          name: "slow",
          connect: () => Effect.acquireRelease(Effect.succeed("slow"), () => closed.await)
        }),
        prepare: () => Effect.fail(rejected),
        retryPolicy: everySecond
      })
      yield* Effect.addFinalizer(() => closed.open)
      const waiting = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
      yield* service.start
      yield* settle
      expect(waiting.unsafePoll()).toEqual(Exit.succeed(rejected))
      expect((yield* service.state.get)._tag).toBe("Connecting")
      // One that comes now waits for the next.
      const next = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      yield* closed.open
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Waiting")
      expect(next.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 second")
      yield* settle
      expect(next.unsafePoll()).not.toBeNull()
    })
  )

  for (const ending of ["never answers", "ends"] as const) {
    it.scoped(`before the policy, which ${ending}`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: Schedule.makeWithState(0, (now, _: unknown) =>
            ending === "ends"
              ? Effect.succeed([0, 0, ScheduleDecision.done])
              : Effect.as(Effect.never, [0, 0, ScheduleDecision.continueWith(ScheduleInterval.after(now))])
          )
        })
        const patient = yield* Effect.fork(service.whenConnected())
        const waiting = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
        yield* service.start
        yield* server.refuse("refused")
        yield* settle
        expect(waiting.unsafePoll()).toEqual(Exit.fail("refused"))
        if (ending === "ends") {
          expect(patient.unsafePoll()).toMatchObject({ cause: { error: { _tag: "RetriesExhausted" } } })
        } else expect(patient.unsafePoll()).toBeNull()
      })
    )
  }

  it.scoped("that timed out, and ignores its interruption", () =>
    Effect.gen(function* () {
      const deafUntil = yield* Effect.makeLatch()
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({ name: "deaf", connect: () => Effect.uninterruptible(deafUntil.await) }),
        connectTimeout: "1 second",
        retryPolicy: everySecond
      })
      yield* Effect.addFinalizer(() => deafUntil.open)
      const waiting = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      yield* service.start
      yield* settle
      yield* TestClock.adjust("1 second")
      expect(waiting.unsafePoll()).toMatchObject({ cause: { error: { _tag: "ConnectTimeout", stage: "connect" } } })
      expect((yield* service.state.get)._tag).toBe("Connecting")
    })
  )

  it.scoped("that was lost meanwhile", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.makeLatch()
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({
          name: "early",
          connect: (signal: Endpoint.ConnectionSignal<string>) =>
            Effect.zipRight(
              Effect.acquireRelease(
                Effect.sync(() => signal.lost("lost")),
                () => closed.await
              ),
              Effect.never
            )
        }),
        retryPolicy: everySecond
      })
      yield* Effect.addFinalizer(() => closed.open)
      const waiting = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      yield* service.start
      yield* settle
      expect(waiting.unsafePoll()).toEqual(Exit.fail("lost"))
    })
  )
})

describe("the very error that was failed with", () => {
  class Refused extends Error {
    readonly _tag = "Refused"
  }

  for (const [what, error] of [
    ["an Error", new Refused("refused")],
    ["an object", { _tag: "Refused" as const, nested: { reason: "refused" } }]
  ] as const) {
    const failing = (where: "connect" | "protocol" | "prepare", policy = everySecond) => ({
      endpoint: Endpoint.make({
        name: "failing",
        connect: () => (where === "connect" ? Effect.fail(error) : Effect.succeed("transport"))
      }),
      protocol: (transport: string) => (where === "protocol" ? Effect.fail(error) : Effect.succeed(transport)),
      prepare: () => (where === "prepare" ? Effect.fail(error) : Effect.void),
      retryPolicy: policy
    })

    for (const where of ["connect", "protocol", "prepare"] as const) {
      it.scoped(`is what a waiter gets, the state, the policy, and who waits for longer: ${what} of ${where}`, () =>
        Effect.gen(function* () {
          const asked: Array<Cause.Cause<unknown>> = []
          const policy = Schedule.recurs(1).pipe(
            Schedule.tapInput(({ cause }: RetryPolicy.ConnectionFailure<unknown>) =>
              Effect.sync(() => void asked.push(cause))
            )
          )
          const service = yield* ClientService.make(
            failing(
              where,
              Schedule.addDelay(policy, () => "1 second")
            )
          )
          const waiting = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
          const patient = yield* Effect.fork(Effect.flip(service.whenConnected()))
          yield* service.start
          yield* settle
          expect(yield* Fiber.join(waiting)).toBe(error)
          const state = yield* service.state.get
          if (state._tag !== "Waiting") throw new Error(`it is ${state._tag}`)
          expect(Cause.squash(state.cause)).toBe(error)
          yield* TestClock.adjust("1 second")
          const exhausted = yield* Fiber.join(patient)
          if (exhausted._tag !== "RetriesExhausted") throw new Error(`it is ${exhausted._tag}`)
          expect(Cause.squash(exhausted.cause)).toBe(error)
          expect(asked.map(Cause.squash)).toEqual([error, error])
          expect(asked.every((cause) => Cause.squash(cause) === error)).toBe(true)
        })
      )
    }

    it.scoped(`is the cause of the loss that a use fails with: ${what}`, () =>
      Effect.gen(function* () {
        const signals: Array<Endpoint.ConnectionSignal<typeof error>> = []
        const service = yield* ClientService.make({
          endpoint: Endpoint.make({
            name: "lossy",
            connect: (signal: Endpoint.ConnectionSignal<typeof error>) =>
              Effect.sync(() => {
                signals.push(signal)
              })
          }),
          retryPolicy: everySecond
        })
        yield* service.start
        const using = yield* Effect.fork(Effect.flip(service.use(() => Effect.never)))
        yield* settle
        signals[0]?.lost(error)
        yield* settle
        const lost = yield* Fiber.join(using)
        expect(lost).toMatchObject({ _tag: "ConnectionLost" })
        expect(lost.cause).toBe(error)
        const state = yield* service.state.get
        expect(state._tag === "Waiting" && Cause.squash(state.cause)).toBe(error)
      })
    )

    it.scoped(`is what a probe's failure is known by: ${what}`, () =>
      Effect.gen(function* () {
        const service = yield* ClientService.make({
          endpoint: Endpoint.make({ name: "probed", connect: () => Effect.void }),
          heartbeat: { probe: () => Effect.fail(error), interval: "1 second", timeout: "1 second" },
          retryPolicy: everySecond
        })
        yield* service.start
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
        const state = yield* service.state.get
        expect(state._tag === "Waiting" && Cause.squash(state.cause)).toBe(error)
      })
    )

    for (const combined of ["failover", "happyEyeballs"] as const) {
      it.scoped(`is among those of ${combined}: ${what}`, () =>
        Effect.gen(function* () {
          const one = Endpoint.make({ name: "one", connect: () => Effect.fail(error) })
          const endpoint = combined === "failover" ? Endpoint.failover([one, one]) : Endpoint.happyEyeballs([one, one])
          const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
          const waiting = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
          yield* service.start
          yield* settle
          const failed: unknown = yield* Fiber.join(waiting)
          const causes =
            failed instanceof EndpointsFailed.EndpointsFailed
              ? failed.failures.map(({ cause }) => Cause.squash(cause))
              : [failed]
          expect(causes.every((cause) => cause === error)).toBe(true)
        })
      )
    }

    it.scoped(`is what a defect is known by: ${what}`, () =>
      Effect.gen(function* () {
        const service = yield* ClientService.make({
          endpoint: Endpoint.make({ name: "dying", connect: () => Effect.die(error) }),
          retryPolicy: everySecond
        })
        const waiting = yield* Effect.fork(Effect.exit(service.whenConnected({ failAfterFailures: 1 })))
        yield* service.start
        yield* settle
        const exit = yield* Fiber.join(waiting)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(error)
      })
    )
  }
})

describe("an exchange, at any step", () => {
  it("a call beside the sending of the one before it is sent", async () => {
    const problems = await atEveryStep({
      make: (bench) => {
        const written: Array<string> = []
        const transport: Transport.Transport = {
          incoming: Stream.never,
          write: (chunk) => Effect.sync(() => written.push(String(chunk))),
          end: Effect.void,
          remote: "peer"
        }
        const made = bench.run(
          Effect.flatMap(Scope.make(), (scope) =>
            Scope.extend(Exchange.inOrder(Framing.lines().over(transport)), scope)
          )
        )
        if (made?._tag !== "Success") throw new Error("not made")
        return { exchange: made.value, written }
      },
      first: ({ exchange }) => exchange.ask("first"),
      between: ({ exchange }) => [exchange.ask("second")],
      problem: ({ written }) => {
        const lines = written.join("").split("\n").sort().join()
        return lines === ",first,second" ? undefined : `sent is ${lines}`
      }
    })
    expect(problems).toEqual([])
  })
})
