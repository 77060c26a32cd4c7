import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FiberId } from "effect"
import { Race } from "effect-client-service"
import { withoutRealTimers } from "./properties/realTimers.js"
import { Bench } from "./support/bench.js"

/** At which of its steps an Effect that has no end of its own hangs if it is held there while it is interrupted. */
const hangsAt = (effect: Effect.Effect<unknown, unknown>): ReadonlyArray<number> => {
  const steps: Array<number> = []
  for (let held = 1, wasHeld = true; wasHeld; held++) {
    withoutRealTimers(() => {
      let step = 0
      wasHeld = false
      const bench = new Bench(() => {
        step += 1
        if (step !== held) return "goes on"
        wasHeld = true
        return "is held"
      })
      const fiber = bench.fork(effect)
      bench.drain(() => bench.scheduler.ready === 0)
      bench.fork(fiber.interruptAsFork(FiberId.none))
      bench.drain()
      if (fiber.unsafePoll() === null) steps.push(held)
    })
  }
  return steps
}

describe("interrupted between any two steps, there ends", () => {
  for (const [what, effect] of [
    ["firstOf", Race.firstOf(Effect.never, Effect.never)],
    ["firstOf in firstOf", Race.firstOf(Effect.never, Race.firstOf(Effect.never, Effect.sleep("1 hour")))]
  ] as const) {
    it(what, () => {
      expect(hangsAt(effect)).toEqual([])
    })
  }
})

// Where these are mended, there is less need of what this package has in their place.
describe("interrupted between two steps, there hangs", () => {
  for (const [what, effect] of [
    ["Effect.raceFirst", Effect.raceFirst(Effect.never, Effect.never)],
    ["Effect.race", Effect.race(Effect.never, Effect.never)],
    ["Effect.timeout, until its time has passed", Effect.timeout(Effect.never, "1 hour")],
    ["Effect.forEach, in parallel", Effect.forEach([1, 2], () => Effect.never, { concurrency: "unbounded" })]
  ] as const) {
    it(what, () => {
      expect(hangsAt(effect)).not.toEqual([])
    })
  }
})

describe("firstOf", () => {
  it.effect("gives what comes first, be it a failure, and interrupts the other", () =>
    Effect.gen(function* () {
      for (const first of [Exit.succeed("first"), Exit.fail("first")]) {
        const interrupted = yield* Deferred.make<void>()
        const other = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        for (const race of [Race.firstOf(first, other), other.pipe(Race.firstOf(first))]) {
          expect(yield* Effect.exit(race)).toEqual(first)
        }
        expect(yield* Deferred.isDone(interrupted)).toBe(true)
      }
    })
  )
})
