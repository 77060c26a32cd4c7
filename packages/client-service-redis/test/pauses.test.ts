import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Logger, TestClock } from "effect"
import { OwnClients } from "../src/internal/ownClients.js"
import { Line, Subscriptions } from "../src/internal/subscriptions.js"

const make = () => {
  const opening = { client: Promise.reject(new Error("refused")), destroy: () => {} }
  opening.client.catch(() => {})
  const own = new OwnClients(() => opening, { unblock: () => Promise.resolve(false), kill: () => {} })
  const subscriptions = new Subscriptions(own, Duration.seconds(1))
  return Effect.sync(() => subscriptions.pause(new Line(opening, Duration.seconds(1)), new Error("lost")))
}

describe("those who wait for another connection of subscriptions", () => {
  it.effect("do so when the logger of the first throws", () =>
    Effect.gen(function* () {
      const pause = yield* make()
      const broken = Logger.make(() => {
        throw new Error("no disk")
      })
      const logged = Effect.provide(pause, Logger.replace(Logger.defaultLogger, broken))
      expect(Exit.isFailure(yield* Effect.exit(logged))).toBe(true)
      const second = yield* Effect.fork(pause)
      yield* TestClock.adjust("1 minute")
      expect(yield* Fiber.join(second)).toBe(undefined)
    })
  )
})
