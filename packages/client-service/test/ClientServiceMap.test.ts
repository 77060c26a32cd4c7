import { describe, expect, it } from "@effect/vitest"
import {
  Chunk,
  Context,
  Data,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Metric,
  Option,
  Scope,
  Stream,
  TestClock
} from "effect"
import { ClientService, ClientServiceMap, Endpoint, RetryPolicy } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

interface Counts {
  lookups: number
  opens: number
  closes: number
}

type Made = Effect.Effect.Success<ReturnType<typeof make<string>>>

/** A map of services that connect at once, in a Scope that a test can close, and counts of what it does by key. */
const make = <K = string>(
  options: {
    readonly idleTimeToLive?: Duration.DurationInput
    /** What a lookup does before it makes the service. */
    readonly before?: (key: K, lookup: number) => Effect.Effect<unknown, never, Scope.Scope>
    readonly close?: Effect.Effect<void>
    readonly connect?: Effect.Effect<void, string>
    readonly retryPolicy?: RetryPolicy.RetryPolicy<unknown>
  } = {}
) =>
  Effect.gen(function* () {
    const counts: Counts = { lookups: 0, opens: 0, closes: 0 }
    const { before, close = Effect.void, connect = Effect.void, idleTimeToLive, retryPolicy } = options
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const map = yield* Scope.extend(
      ClientServiceMap.make({
        idleTimeToLive,
        lookup: (key: K) => {
          counts.lookups += 1
          const lookup = counts.lookups
          return Effect.zipRight(
            before?.(key, lookup) ?? Effect.void,
            ClientService.make({
              endpoint: Endpoint.make({
                name: String(key),
                connect: () =>
                  Effect.zipRight(
                    connect,
                    Effect.acquireRelease(
                      Effect.sync(() => {
                        counts.opens += 1
                        return `${String(key)} ${lookup}`
                      }),
                      () =>
                        Effect.zipRight(
                          close,
                          Effect.sync(() => {
                            counts.closes += 1
                          })
                        )
                    )
                  )
              }),
              retryPolicy: retryPolicy ?? RetryPolicy.fromFunction(() => "1 second")
            })
          )
        }
      }),
      scope
    )
    return { counts, map, scope }
  })

type Service = ClientService.ClientService<string, string>

/** Somebody who has a service until told to give it back. */
const borrow = <K>(map: ClientServiceMap.ClientServiceMap<K, string, string>, key: K) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const service = yield* Scope.extend(map.get(key), scope)
    return { service, giveBack: Scope.close(scope, Exit.void) }
  })

const connected = (service: Service) => service.whenConnected()

describe("ClientServiceMap", () => {
  it.scoped("makes a service for a key, starts it, and shares it", () =>
    Effect.gen(function* () {
      const { counts, map } = yield* make()
      const first = yield* map.get("a")
      const second = yield* map.get("a")
      expect(second).toBe(first)
      expect(yield* connected(first)).toBe("a 1")
      expect(counts).toEqual({ lookups: 1, opens: 1, closes: 0 })
    })
  )

  it.scoped("makes one connection for a hundred fibers that ask at once, also while the lookup takes its time", () =>
    Effect.gen(function* () {
      const { counts, map } = yield* make({ before: () => Effect.sleep("1 second") })
      const asking = yield* Effect.fork(
        Effect.forEach(Array.from({ length: 100 }), () => Effect.flatMap(map.get("a"), connected), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("1 second")
      expect(new Set(yield* Fiber.join(asking))).toEqual(new Set(["a 1"]))
      expect(counts).toEqual({ lookups: 1, opens: 1, closes: 0 })
    })
  )

  it.scoped("makes the next service of a key only once all before it are closed", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { counts, map } = yield* make({ close: Deferred.await(gate) })
      const first = yield* borrow(map, "a")
      yield* connected(first.service)
      const leaving = yield* Effect.fork(first.giveBack)
      yield* settle
      const givenUp = yield* Effect.fork(Effect.scoped(map.get("a")))
      yield* settle
      yield* Fiber.interrupt(givenUp)
      const asking = yield* Effect.fork(map.get("a"))
      yield* settle
      expect(counts).toEqual({ lookups: 1, opens: 1, closes: 0 })
      expect(yield* connected(yield* map.get("b"))).toBe("b 2")
      yield* Deferred.succeed(gate, undefined)
      expect(yield* connected(yield* Fiber.join(asking))).toBe("a 3")
      yield* Fiber.join(leaving)
      expect(counts).toEqual({ lookups: 3, opens: 3, closes: 1 })
    })
  )

  it.scoped(
    "makes the next service of a key once closeTimeout has passed, though the connection before is still open",
    () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { counts, map } = yield* make({ close: Deferred.await(gate) })
        const first = yield* borrow(map, "a")
        yield* connected(first.service)
        yield* Effect.fork(first.giveBack)
        yield* settle
        const asking = yield* Effect.fork(Effect.flatMap(map.get("a"), connected))
        yield* TestClock.adjust("4999 millis")
        expect(counts).toEqual({ lookups: 1, opens: 1, closes: 0 })
        yield* TestClock.adjust("1 millis")
        expect(yield* Fiber.join(asking)).toBe("a 2")
        expect(counts).toEqual({ lookups: 2, opens: 2, closes: 0 })
        yield* Deferred.succeed(gate, undefined)
      })
  )

  it.scoped("makes a service of its own for each key, and tells the keys", () =>
    Effect.gen(function* () {
      const { map } = yield* make()
      const services = yield* Effect.forEach(["a", "b", "c"], (key) => map.get(key))
      expect(yield* Effect.forEach(services, connected)).toEqual(["a 1", "b 2", "c 3"])
      expect([...(yield* map.keys)].sort()).toEqual(["a", "b", "c"])
    })
  )

  it.scoped("compares keys by their structure", () =>
    Effect.gen(function* () {
      class Shard extends Data.Class<{ readonly host: string; readonly port: number }> {}
      const { counts, map } = yield* make<Shard>()
      const one = yield* map.get(new Shard({ host: "a", port: 1 }))
      expect(yield* map.get(new Shard({ host: "a", port: 1 }))).toBe(one)
      expect(yield* map.get(new Shard({ host: "a", port: 2 }))).not.toBe(one)
      expect(counts.lookups).toBe(2)
      yield* map.invalidate(new Shard({ host: "a", port: 2 }))
      expect(yield* map.keys).toEqual([new Shard({ host: "a", port: 1 })])
    })
  )

  it.scoped("stops a service at once when its last user is done, and makes a new one for the next", () =>
    Effect.gen(function* () {
      const { counts, map } = yield* make()
      const one = yield* borrow(map, "a")
      const two = yield* borrow(map, "a")
      yield* connected(one.service)
      yield* one.giveBack
      expect(counts.closes).toBe(0)
      expect(yield* two.service.running).toBe(true)
      yield* two.giveBack
      expect(counts.closes).toBe(1)
      expect(yield* map.keys).toEqual([])
      expect(yield* connected((yield* borrow(map, "a")).service)).toBe("a 2")
    })
  )

  describe("with an idleTimeToLive", () => {
    it.scoped("stops an idle service when it is over, to the millisecond", () =>
      Effect.gen(function* () {
        const { counts, map } = yield* make({ idleTimeToLive: "1 minute" })
        const one = yield* borrow(map, "a")
        yield* connected(one.service)
        yield* TestClock.adjust("1 hour")
        yield* one.giveBack
        yield* TestClock.adjust("59999 millis")
        expect(counts.closes).toBe(0)
        expect(yield* map.keys).toEqual(["a"])
        yield* TestClock.adjust("1 millis")
        expect(counts.closes).toBe(1)
        expect(yield* map.keys).toEqual([])
      })
    )

    it.scoped("keeps a service that is asked for again, and begins the time anew when that is done", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { counts, map } = yield* make({ idleTimeToLive: "1 minute" })
          const one = yield* borrow(map, "a")
          yield* connected(one.service)
          yield* one.giveBack
          yield* TestClock.adjust("59 seconds")
          expect(timers.pending()).toBe(1)
          const two = yield* borrow(map, "a")
          expect(two.service).toBe(one.service)
          yield* TestClock.adjust("1 second")
          expect(timers.pending()).toBe(0)
          yield* TestClock.adjust("1 hour")
          yield* two.giveBack
          yield* TestClock.adjust("59 seconds")
          expect(counts).toEqual({ lookups: 1, opens: 1, closes: 0 })
          yield* TestClock.adjust("1 second")
          expect(counts.closes).toBe(1)
          expect(timers.pending()).toBe(0)
        })
      )
    )

    for (const [what, leave] of [
      ["is closed", (made) => Scope.close(made.scope, Exit.void)],
      ["is to make a new one of the key", (made) => made.map.invalidate("a")]
    ] satisfies ReadonlyArray<readonly [string, (made: Made) => Effect.Effect<void>]>) {
      it.scoped(`leaves no timer for a service that is in use when the collection ${what}`, () =>
        withTimers((timers) =>
          Effect.gen(function* () {
            const made = yield* make({ idleTimeToLive: "1 minute" })
            yield* (yield* borrow(made.map, "a")).giveBack
            yield* settle
            yield* borrow(made.map, "a")
            yield* leave(made)
            yield* settle
            expect(timers.pending()).toBe(0)
          })
        )
      )
    }

    it.scoped("has one timer however often a service comes and goes", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { counts, map } = yield* make({ idleTimeToLive: "1 minute" })
          for (let time = 0; time < 100; time++) yield* (yield* borrow(map, "a")).giveBack
          yield* settle
          expect(timers.pending()).toBe(1)
          yield* TestClock.adjust("59 seconds")
          expect(counts.closes).toBe(0)
          yield* TestClock.adjust("1 second")
          expect(counts).toEqual({ lookups: 1, opens: 1, closes: 1 })
          expect(timers.pending()).toBe(0)
        })
      )
    )

    it.scoped("keeps a service for the whole time since it was last used, however often it comes and goes", () =>
      Effect.gen(function* () {
        const { counts, map } = yield* make({ idleTimeToLive: "1 minute" })
        for (let time = 0; time < 3; time++) {
          yield* (yield* borrow(map, "a")).giveBack
          yield* TestClock.adjust("40 seconds")
        }
        yield* TestClock.adjust("19999 millis")
        expect(counts).toEqual({ lookups: 1, opens: 1, closes: 0 })
        yield* TestClock.adjust("1 millis")
        expect(counts.closes).toBe(1)
      })
    )

    it.scoped("keeps a service for ever if it is infinite", () =>
      Effect.gen(function* () {
        const { counts, map, scope } = yield* make({ idleTimeToLive: Duration.infinity })
        const one = yield* borrow(map, "a")
        yield* connected(one.service)
        yield* one.giveBack
        yield* TestClock.adjust("1000 days")
        expect(counts.closes).toBe(0)
        yield* Scope.close(scope, Exit.void)
        expect(counts.closes).toBe(1)
      })
    )

    it("that is none is refused", () => {
      const lookup = () => Effect.never
      expect(() => ClientServiceMap.make({ lookup, idleTimeToLive: -1 })).toThrow(
        "ClientServiceMap.make: idleTimeToLive must be a duration of zero or more, got -1"
      )
    })
  })

  describe("invalidate", () => {
    it.scoped("leaves a service to those who use it, and has the next get make a new one", () =>
      Effect.gen(function* () {
        const { counts, map } = yield* make({ idleTimeToLive: "1 minute" })
        const old = yield* borrow(map, "a")
        yield* connected(old.service)
        yield* map.invalidate("a")
        expect(yield* map.keys).toEqual([])
        expect(yield* old.service.running).toBe(true)
        const young = yield* borrow(map, "a")
        expect(yield* connected(young.service)).toBe("a 2")
        yield* old.giveBack
        expect(counts.closes).toBe(1)
        expect(yield* old.service.running).toBe(false)
        // The old one's end does not touch the one that was made in its place.
        expect(yield* map.keys).toEqual(["a"])
        expect(yield* young.service.running).toBe(true)
        expect((yield* borrow(map, "a")).service).toBe(young.service)
      })
    )

    it.scoped("stops an idle service at once, and its timer with it", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { counts, map } = yield* make({ idleTimeToLive: "1 minute" })
          const one = yield* borrow(map, "a")
          yield* connected(one.service)
          yield* one.giveBack
          yield* settle
          expect(timers.pending()).toBe(1)
          yield* map.invalidate("a")
          expect(counts.closes).toBe(1)
          yield* settle
          expect(timers.pending()).toBe(0)
          expect(yield* map.keys).toEqual([])
        })
      )
    )

    it.scoped("of a key without a service does nothing", () =>
      Effect.gen(function* () {
        const { map } = yield* make()
        yield* map.invalidate("a")
        expect(yield* map.keys).toEqual([])
      })
    )

    it.scoped("that is interrupted still closes everything", () =>
      Effect.gen(function* () {
        let released = false
        const { counts, map } = yield* make({
          idleTimeToLive: "1 minute",
          close: Effect.sleep("1 second"),
          before: () =>
            Effect.addFinalizer(() =>
              Effect.sync(() => {
                released = true
              })
            )
        })
        const one = yield* borrow(map, "a")
        yield* connected(one.service)
        yield* one.giveBack
        const invalidating = yield* Effect.fork(map.invalidate("a"))
        yield* settle
        yield* Fiber.interruptFork(invalidating)
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* Fiber.await(invalidating)
        expect(counts.closes).toBe(1)
        expect(released).toBe(true)
      })
    )
  })

  it.scoped("starts a service again that its users have stopped", () =>
    Effect.gen(function* () {
      const { counts, map } = yield* make()
      const service = yield* map.get("a")
      yield* connected(service)
      yield* service.stop
      const again = yield* map.get("a")
      expect(again).toBe(service)
      expect(yield* connected(again)).toBe("a 1")
      expect(counts).toEqual({ lookups: 1, opens: 2, closes: 1 })
    })
  )

  it.scoped("starts a service again that has given up", () =>
    Effect.gen(function* () {
      let refusing = true
      const { map } = yield* make({
        connect: Effect.suspend(() => (refusing ? Effect.fail("refused") : Effect.void)),
        retryPolicy: RetryPolicy.whileError(RetryPolicy.fullJitter(), () => false)
      })
      const service = yield* map.get("a")
      yield* awaitState(service, "Exhausted")
      refusing = false
      expect(yield* connected(yield* map.get("a"))).toBe("a 1")
      expect(yield* connected(service)).toBe("a 1")
    })
  )

  describe("a lookup that dies", () => {
    for (const [how, before] of [
      ["dies", () => Effect.zipRight(Effect.sleep("1 second"), Effect.die("boom"))],
      [
        "throws",
        () => {
          throw "boom"
        }
      ]
    ] as const) {
      it.scoped(`or ${how} fails all who wait for it, is not kept, and has what it acquired released`, () =>
        Effect.gen(function* () {
          let released = 0
          const { counts, map } = yield* make({
            before: (_, lookup) =>
              lookup > 1
                ? Effect.void
                : Effect.zipRight(
                    Effect.addFinalizer(() =>
                      Effect.sync(() => {
                        released += 1
                      })
                    ),
                    Effect.suspend(before)
                  )
          })
          const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Effect.exit(map.get("a"))))
          yield* settle
          yield* TestClock.adjust("1 second")
          expect(yield* Effect.forEach(waiting, Fiber.join)).toEqual([1, 2, 3].map(() => Exit.die("boom")))
          yield* settle
          expect(released).toBe(1)
          expect(yield* map.keys).toEqual([])
          // Those who have failed have not closed their Scope yet.
          expect(yield* connected(yield* map.get("a"))).toBe("a 2")
          expect(counts.lookups).toBe(2)
        })
      )
    }

    it.scoped("or throws before it gives an Effect is no different", () =>
      Effect.gen(function* () {
        const map = yield* ClientServiceMap.make({
          lookup: (): Effect.Effect<Service> => {
            throw "boom"
          }
        })
        expect(yield* Effect.exit(map.get("a"))).toEqual(Exit.die("boom"))
        expect(yield* Effect.exit(map.get("a"))).toEqual(Exit.die("boom"))
        expect(yield* map.keys).toEqual([])
      })
    )
  })

  it.scoped("a get that is interrupted does not end the lookup that others wait for", () =>
    Effect.gen(function* () {
      const { counts, map } = yield* make({ before: () => Effect.sleep("1 second") })
      const first = yield* Effect.fork(Effect.scoped(map.get("a")))
      yield* settle
      const second = yield* Effect.fork(Effect.flatMap(map.get("a"), connected))
      yield* settle
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(second)).toBe("a 1")
      expect(counts.lookups).toBe(1)
    })
  )

  it.scoped("a get that nobody waits for any more ends the lookup", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { counts, map } = yield* make({ before: () => Effect.sleep("1 second") })
        const only = yield* Effect.fork(Effect.scoped(map.get("a")))
        yield* settle
        expect(timers.pending()).toBe(1)
        yield* Fiber.interrupt(only)
        expect(timers.pending()).toBe(0)
        expect(yield* map.keys).toEqual([])
        expect(counts.opens).toBe(0)
      })
    )
  )

  it.scoped("a get that is interrupted at any point leaves nothing behind", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { counts, map } = yield* make({ before: () => Effect.repeatN(Effect.yieldNow(), 5) })
        let gotten = 0
        for (let steps = 0; steps < 60; steps++) {
          const getting = yield* Effect.fork(
            Effect.scoped(
              Effect.flatMap(map.get("a"), (service) =>
                Effect.zipRight(
                  Effect.sync(() => {
                    gotten += 1
                  }),
                  Effect.zipRight(connected(service), Effect.never)
                )
              )
            )
          )
          yield* Effect.repeatN(Effect.yieldNow(), steps)
          yield* Fiber.interrupt(getting)
          yield* settle
          expect(yield* map.keys).toEqual([])
          expect(counts.opens - counts.closes).toBe(0)
          expect(timers.pending()).toBe(0)
        }
        // Some were interrupted early, some late.
        expect(gotten).toBeGreaterThan(10)
        expect(gotten).toBeLessThan(60)
        expect(counts.opens).toBeGreaterThan(10)
      })
    )
  )

  for (const idleTimeToLive of [0, 1000]) {
    it.scoped(
      `a get that is interrupted while it waits does not disturb others, kept idle for ${idleTimeToLive} ms`,
      () =>
        Effect.gen(function* () {
          const { counts, map } = yield* make({ idleTimeToLive })
          const user = yield* borrow(map, "a")
          yield* connected(user.service)
          for (let steps = 0; steps < 30; steps++) {
            const getting = yield* Effect.fork(Effect.scoped(Effect.zipRight(map.get("a"), Effect.never)))
            yield* Effect.repeatN(Effect.yieldNow(), steps)
            yield* Fiber.interrupt(getting)
          }
          yield* TestClock.adjust("1 hour")
          expect(yield* user.service.running).toBe(true)
          yield* user.giveBack
          yield* TestClock.adjust("1 second")
          expect(counts).toEqual({ lookups: 1, opens: 1, closes: 1 })
        })
    )
  }

  describe("closing the Scope of the map", () => {
    it.scoped("stops every service: in use, idle, or invalidated", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { counts, map, scope } = yield* make({ idleTimeToLive: "1 minute" })
          const idle = yield* borrow(map, "idle")
          const used = yield* borrow(map, "used")
          const invalidated = yield* borrow(map, "invalidated")
          const all = [idle.service, used.service, invalidated.service]
          yield* Effect.forEach(all, connected)
          yield* idle.giveBack
          yield* map.invalidate("invalidated")
          yield* Scope.close(scope, Exit.void)
          expect(counts).toEqual({ lookups: 3, opens: 3, closes: 3 })
          expect(yield* Effect.forEach(all, (service) => service.running)).toEqual([false, false, false])
          expect(yield* map.keys).toEqual([])
          yield* settle
          expect(timers.pending()).toBe(0)
          yield* used.giveBack
          yield* invalidated.giveBack
          expect(timers.pending()).toBe(0)
        })
      )
    )

    it.scoped("closes services side by side", () =>
      Effect.gen(function* () {
        const { counts, map, scope } = yield* make({ close: Effect.sleep("1 second") })
        const services = yield* Effect.forEach(["a", "b", "c"], (key) => borrow(map, key))
        yield* Effect.forEach(services, ({ service }) => connected(service))
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* settle
        yield* TestClock.adjust("1 second")
        expect(counts.closes).toBe(3)
        yield* Fiber.join(closing)
      })
    )

    for (const why of ["its last user is done", "its time is over"]) {
      it.scoped(`waits for a service that is being stopped because ${why}`, () =>
        Effect.gen(function* () {
          const { counts, map, scope } = yield* make({
            close: Effect.sleep("1 second"),
            idleTimeToLive: why === "its time is over" ? "1 minute" : 0
          })
          const one = yield* borrow(map, "a")
          yield* connected(one.service)
          yield* Effect.fork(one.giveBack)
          yield* settle
          if (why === "its time is over") yield* TestClock.adjust("1 minute")
          const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
          yield* settle
          expect(closing.unsafePoll()).toBeNull()
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(closing)
          expect(counts.closes).toBe(1)
        })
      )
    }

    it.scoped("leaves a map that gives services that are stopped for good", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { counts, map, scope } = yield* make({ idleTimeToLive: "1 minute" })
          yield* Scope.close(scope, Exit.void)
          const one = yield* borrow(map, "a")
          expect(yield* Effect.flip(connected(one.service))).toMatchObject({ _tag: "ServiceStopped" })
          yield* one.giveBack
          expect(yield* map.keys).toEqual([])
          expect(timers.pending()).toBe(0)
          expect(counts.opens).toBe(0)
        })
      )
    )
  })

  for (const idleTimeToLive of [0, 1000]) {
    it.scoped(
      `does not grow however many keys come and go, kept idle for ${idleTimeToLive} ms`,
      () =>
        withTimers((timers) =>
          Effect.gen(function* () {
            const { counts, map } = yield* make<number>({ idleTimeToLive })
            const keys = Array.from({ length: 1_000 }, (_, key) => key)
            yield* Effect.scoped(Effect.flatMap(map.get(-1), connected))
            yield* map.invalidate(-1)
            const metrics = (yield* Metric.snapshot).length
            yield* Effect.forEach(keys, (key) => Effect.scoped(Effect.flatMap(map.get(key), connected)), {
              concurrency: 100,
              discard: true
            })
            yield* settle
            if (idleTimeToLive > 0) {
              expect(yield* map.keys).toHaveLength(1_000)
              expect(timers.pending()).toBe(1_000)
              for (const key of yield* map.keys) yield* map.invalidate(key)
            }
            yield* settle
            expect(yield* map.keys).toHaveLength(0)
            expect(timers.pending()).toBe(0)
            expect(counts).toEqual({ lookups: 1_001, opens: 1_001, closes: 1_001 })
            expect((yield* Metric.snapshot).length).toBe(metrics)
          })
        ),
      60_000
    )
  }

  it.scoped("gives the lookup the services of the map, not those of whoever asks", () =>
    Effect.gen(function* () {
      class Region extends Context.Reference<Region>()("test/Region", { defaultValue: () => "none" }) {}
      const seen: Array<string> = []
      const map = yield* ClientServiceMap.make({
        lookup: (key: string) =>
          Effect.flatMap(Region, (region) => {
            seen.push(`${key} in ${region}`)
            return ClientService.make({ endpoint: Endpoint.make({ name: key, connect: () => Effect.succeed(key) }) })
          })
      })
      yield* Effect.provideService(map.get("a"), Region, "caller")
      expect(seen).toEqual(["a in none"])
    })
  )

  it.scoped("has services that go on with their connections while they are shared", () =>
    Effect.gen(function* () {
      const { map } = yield* make()
      const service = yield* map.get("a")
      const seen = yield* Effect.fork(Stream.runCollect(Stream.take(service.connections, 2)))
      yield* connected(service)
      yield* settle
      yield* (yield* map.get("a")).reconnect
      expect(Chunk.toReadonlyArray(yield* Fiber.join(seen))).toEqual(["a 1", "a 1"])
      expect(Option.isSome(yield* service.protocol.get)).toBe(true)
    })
  )
})
