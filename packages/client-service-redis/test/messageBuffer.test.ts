import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import { MessageBuffer } from "../src/internal/messageBuffer.js"

/** Has a fiber give way to others before one of its steps, and tells of that. */
const pausingAt = (step: number, paused: Deferred.Deferred<void>): Scheduler.Scheduler => {
  let steps = 0
  return {
    shouldYield: () => {
      if (steps++ !== step) return false
      Deferred.unsafeDone(paused, Effect.void)
      return 0
    },
    // Later than whoever has been told.
    scheduleTask: (task) => setImmediate(task)
  }
}

describe("MessageBuffer", () => {
  const arrivals = {
    "a message": (buffer: MessageBuffer<string, never>) => buffer.offer("message"),
    "the end": (buffer: MessageBuffer<string, never>) => buffer.end(Effect.runSync(Effect.cause(Effect.interrupt)))
  }
  for (const [what, arrive] of Object.entries(arrivals)) {
    it.effect(`tells its consumer of ${what} that comes between any two steps of it`, () =>
      Effect.gen(function* () {
        let steps = 0
        for (let isPaused = true; isPaused; steps++) {
          const buffer = new MessageBuffer<string, never>(10, undefined)
          const paused = yield* Deferred.make<void>()
          const consumer = yield* Effect.fork(Effect.exit(Effect.withScheduler(buffer.take, pausingAt(steps, paused))))
          yield* Effect.race(Deferred.await(paused), Effect.repeatN(Effect.yieldNow(), 20))
          arrive(buffer)
          yield* Effect.repeatN(
            Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
            10
          )
          expect([steps, yield* Fiber.poll(consumer)]).toMatchObject([steps, { _tag: "Some" }])
          isPaused = yield* Deferred.isDone(paused)
        }
        expect(steps).toBeGreaterThan(10)
      })
    )
  }

  it.effect("gives all that there is at once, in order", () =>
    Effect.gen(function* () {
      const buffer = new MessageBuffer<number, never>(10, undefined)
      for (const element of [1, 2, 3]) buffer.offer(element)
      expect(Chunk.toReadonlyArray(yield* buffer.take)).toEqual([1, 2, 3])
    })
  )
})
