import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Option, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { Places } from "effect-client-service-driver"

const late = (_: string, why: Places.Why) => why

interface Options {
  readonly maxWaiting?: number
  readonly drainTimeout?: Duration.DurationInput
  readonly retryPolicy?: RetryPolicy.RetryPolicy<unknown>
}

/** A service that is connected, and places with it. */
const connected = (count: number, { maxWaiting = 100, ...options }: Options = {}) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    yield* server.up("connection")
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      retryPolicy: RetryPolicy.whileError(
        RetryPolicy.fromFunction(() => "1 second"),
        () => false
      ),
      ...options
    })
    yield* service.start
    yield* service.whenConnected()
    return { places: Places.make(count, service, () => maxWaiting), server, service }
  })

/** Takes a place until it is told to give it back. */
const held = (places: Places.Places<string, string>, maxWait: Duration.Duration = Duration.infinity) =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const end = yield* Deferred.make<void>()
    const run = () => Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(end))
    const fiber = yield* Effect.fork(places.use(run, maxWait, late))
    yield* Effect.repeatN(Effect.yieldNow(), 20)
    return { fiber, hasBegun: Deferred.isDone(begun), end: Deferred.succeed(end, undefined) }
  })

describe("places", () => {
  it.scoped("are for so many at a time, and the others in turn", () =>
    Effect.gen(function* () {
      const { places } = yield* connected(2)
      const [first, second, third, fourth] = yield* Effect.all([1, 2, 3, 4].map(() => held(places)))
      const begun = Effect.forEach([first, second, third, fourth], (one) => one?.hasBegun ?? Effect.die("none"))
      expect(yield* begun).toEqual([true, true, false, false])
      yield* second?.end ?? Effect.void
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      expect(yield* begun).toEqual([true, true, true, false])
      yield* first?.end ?? Effect.void
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      expect(yield* begun).toEqual([true, true, true, true])
    })
  )

  it.scoped("are waited for no longer than maxWait", () =>
    Effect.gen(function* () {
      const { places, server } = yield* connected(1)
      const first = yield* held(places, Duration.seconds(5))
      const second = yield* held(places, Duration.seconds(5))
      const third = yield* held(places, Duration.seconds(3))
      expect(yield* Effect.flip(places.use(() => Effect.void, Duration.zero, late))).toBe("late")
      yield* TestClock.adjust("3 seconds")
      expect(yield* Fiber.await(third.fiber)).toEqual(Exit.fail("late"))
      yield* first.end
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      expect(yield* second.hasBegun).toBe(true)
      yield* TestClock.adjust("1 minute")
      yield* second.end
      expect(yield* Fiber.await(second.fiber)).toEqual(Exit.void)
      expect(yield* server.opens).toBe(1)
    })
  )

  it.scoped("are waited for by no more than maxWaiting", () =>
    Effect.gen(function* () {
      const { places } = yield* connected(1, { maxWaiting: 1 })
      const first = yield* held(places)
      const second = yield* held(places)
      for (const maxWait of [Duration.infinity, Duration.minutes(1)]) {
        const refused = yield* Effect.fork(Effect.flip(places.use(() => Effect.void, maxWait, late)))
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        expect(yield* Fiber.poll(refused)).toEqual(Option.some(Exit.succeed("full")))
      }
      yield* first.end
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      const third = yield* held(places)
      yield* second.end
      yield* third.end
      expect(yield* Effect.forEach([second, third], ({ fiber }) => Fiber.await(fiber))).toEqual([Exit.void, Exit.void])
    })
  )

  it.scoped("leave those who get one the rest of maxWait for a connection", () =>
    Effect.gen(function* () {
      const { places, server } = yield* connected(1, {
        retryPolicy: RetryPolicy.fromFunction(() => "1 second")
      })
      const first = yield* held(places)
      const second = yield* held(places, Duration.seconds(5))
      yield* TestClock.adjust("3 seconds")
      yield* server.down("gone")
      yield* (yield* Effect.flatten(server.last)).drop("reset")
      expect(yield* Effect.flip(Fiber.join(first.fiber))).toMatchObject({ _tag: "ConnectionLost" })
      yield* TestClock.adjust("1999 millis")
      expect(Option.isNone(yield* Fiber.poll(second.fiber))).toBe(true)
      yield* TestClock.adjust("1 millis")
      expect(Option.isSome(yield* Fiber.poll(second.fiber))).toBe(true)
      expect(yield* Effect.flip(Fiber.join(second.fiber))).toMatchObject({ _tag: "NotConnected" })
    })
  )

  it.scoped("are free again after whatever ends those who have one, and those who leave wait for none", () =>
    Effect.gen(function* () {
      const { places } = yield* connected(1)
      for (const end of [Effect.fail("failed"), Effect.die("died"), Effect.interrupt]) {
        yield* Effect.exit(places.use(() => end, Duration.infinity, late))
      }
      for (const maxWait of [Duration.infinity, Duration.minutes(1)]) {
        const first = yield* held(places)
        const second = yield* held(places, maxWait)
        const third = yield* held(places, maxWait)
        yield* Fiber.interrupt(second.fiber)
        // It leaves in the very step in which it is given a place.
        yield* first.end
        yield* Fiber.interrupt(third.fiber)
        yield* Fiber.await(first.fiber)
        expect(yield* places.use((connection) => Effect.succeed(connection), Duration.zero, late)).toBe("connection")
      }
    })
  )

  it.scoped("are waited for no longer once a stop begins, though those who have one go on", () =>
    Effect.gen(function* () {
      const { places, service } = yield* connected(1, { drainTimeout: "1 minute" })
      const first = yield* held(places)
      const waiting = [yield* held(places), yield* held(places, Duration.minutes(5))]
      const stopping = yield* Effect.fork(service.stop)
      for (const { fiber } of waiting) {
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "ServiceStopped" })
      }
      yield* first.end
      expect(yield* Fiber.await(first.fiber)).toEqual(Exit.void)
      yield* Fiber.join(stopping)
    })
  )

  it.scoped("are waited for no longer once the service has given up", () =>
    Effect.gen(function* () {
      const { places, server } = yield* connected(1)
      const first = yield* Effect.fork(
        Effect.uninterruptible(places.use(() => Effect.sleep("1 hour"), Duration.infinity, late))
      )
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      const second = yield* held(places)
      yield* server.down("gone")
      yield* (yield* Effect.flatten(server.last)).drop("reset")
      expect(yield* Effect.flip(Fiber.join(second.fiber))).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.await(first)
    })
  )
})
