import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Logger, TestClock } from "effect"
import { Delays } from "effect-client-service-driver"

describe("delays", () => {
  it.effect("are warned of: at first, and then less and less, and begin anew after what has held", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => told.push(`${logLevel.label} ${message}`))
      const logged = Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      const delays = Delays.make()
      const next = logged(delays.next("subscription to news", new Error("refused")))
      const most: Array<number> = []
      for (let i = 0; i < 100; i++) most.push(Duration.toMillis(yield* next))
      // The 1st, 2nd, 4th, and so on.
      expect(told).toEqual(Array(7).fill("WARN subscription to news: refused"))
      for (const [index, delay] of most.entries()) {
        expect(delay).toBeLessThanOrEqual(Math.min(10_000, 100 * 2 ** index))
      }
      expect(Math.max(...most)).toBeGreaterThan(5000)
      yield* delays.began
      yield* TestClock.adjust("4999 millis")
      yield* next
      expect(delays.failures).toBe(101)
      yield* delays.began
      yield* TestClock.adjust("3 seconds")
      // Another of several that share it does not make it younger.
      yield* delays.began
      yield* TestClock.adjust("2 seconds")
      expect(Duration.toMillis(yield* next)).toBeLessThanOrEqual(100)
      expect(delays.failures).toBe(1)
      expect(told.length).toBe(8)
    })
  )
})
