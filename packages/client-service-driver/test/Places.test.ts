import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import type { ClientService } from "effect-client-service"
import { Places } from "effect-client-service-driver"

const late = Effect.fail("late" as const)

/** Takes a place until it is told to give it back. */
const held = (places: Places.Places, maxWait = Duration.infinity) =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<ClientService.UseOptions>()
    const end = yield* Deferred.make<void>()
    const run = (left: ClientService.UseOptions) => Effect.zipRight(Deferred.succeed(begun, left), Deferred.await(end))
    const fiber = yield* Effect.fork(places.run(run, maxWait, late))
    yield* Effect.repeatN(Effect.yieldNow(), 10)
    return {
      fiber,
      hasBegun: Deferred.isDone(begun),
      left: Deferred.await(begun),
      end: Deferred.succeed(end, undefined)
    }
  })

describe("places", () => {
  it.effect("are for so many at a time, and the others in turn", () =>
    Effect.gen(function* () {
      const places = Places.make(2)
      const [first, second, third, fourth] = yield* Effect.all([1, 2, 3, 4].map(() => held(places)))
      const begun = Effect.forEach([first, second, third, fourth], (one) => one?.hasBegun ?? Effect.die("none"))
      expect(yield* begun).toEqual([true, true, false, false])
      yield* second?.end ?? Effect.void
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(yield* begun).toEqual([true, true, true, false])
      yield* first?.end ?? Effect.void
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(yield* begun).toEqual([true, true, true, true])
      expect(yield* first?.left ?? Effect.void).toEqual({})
    })
  )

  it.effect("are waited for no longer than maxWait, of which what is left is told", () =>
    Effect.gen(function* () {
      const places = Places.make(1)
      const first = yield* held(places, Duration.seconds(5))
      expect(yield* first.left).toEqual({ maxWait: Duration.seconds(5) })
      const second = yield* held(places, Duration.seconds(5))
      const third = yield* held(places, Duration.seconds(3))
      expect(yield* Effect.flip(places.run(() => Effect.void, Duration.zero, late))).toBe("late")
      yield* TestClock.adjust("3 seconds")
      expect(yield* Fiber.await(third.fiber)).toEqual(Exit.fail("late"))
      yield* TestClock.adjust("1 seconds")
      yield* first.end
      expect(yield* second.left).toEqual({ maxWait: 1000 })
      yield* TestClock.adjust("1 minute")
      yield* second.end
      expect(yield* Fiber.await(second.fiber)).toEqual(Exit.void)
    })
  )

  it.effect("are free again after whatever ends those who have one, and those who leave wait for none", () =>
    Effect.gen(function* () {
      const places = Places.make(1)
      for (const end of [Effect.fail("failed"), Effect.die("died"), Effect.interrupt]) {
        yield* Effect.exit(places.run(() => end, Duration.infinity, late))
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
        expect(yield* places.run(() => Effect.succeed("free"), Duration.zero, late)).toBe("free")
      }
    })
  )
})
