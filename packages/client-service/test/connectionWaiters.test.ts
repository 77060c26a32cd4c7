import { describe, expect, it, vi } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { ConnectionWaiters } from "../src/internal/connectionWaiters.js"
import { Waiters } from "../src/internal/waiters.js"
import { settle } from "./support/fixture.js"

const make = () => new ConnectionWaiters<string, string, string>(() => {})

const refused = Effect.fail("refused")
const connected = Effect.succeed("protocol")
const never = () => false

describe("a wait until an attempt fails", () => {
  it("fails at once if the attempt failed while its fiber was held up", () => {
    const waiters = make()
    const first = waiters.failureFromNow(1)
    waiters.attemptFailed(refused)
    expect(Effect.runSyncExit(waiters.waitUntilFailure(first, never, connected))).toEqual(Exit.fail("refused"))
  })

  it("looks again if the attempt fails in the step that the wait begins in", () => {
    const waiters = make()
    const fails = () => {
      waiters.attemptFailed(refused)
      return false
    }
    const wait: Effect.Effect<string, string> = Effect.suspend(() => waiters.waitUntilFailure(1, fails, wait))
    expect(Effect.runSyncExit(wait)).toEqual(Exit.fail("refused"))
  })

  it("does not begin if there is a connection by then", () => {
    expect(Effect.runSync(make().waitUntilFailure(1, () => true, connected))).toBe("protocol")
  })

  it.effect("goes on when another for the same attempt is interrupted", () =>
    Effect.gen(function* () {
      const waiters = make()
      const interrupted = yield* Effect.fork(waiters.waitUntilFailure(1, never, connected))
      const other = yield* Effect.fork(waiters.waitUntilFailure(1, never, connected))
      yield* settle
      yield* Fiber.interrupt(interrupted)
      waiters.attemptFailed(refused)
      yield* settle
      expect(other.unsafePoll()).toEqual(Exit.fail("refused"))
      yield* Fiber.interrupt(other)
    })
  )

  it.effect("goes on when one for the same attempt, which went on before it began, is interrupted", () =>
    Effect.gen(function* () {
      const waiters = make()
      const interrupted = yield* Effect.fork(waiters.waitUntilFailure(1, never, Effect.never))
      yield* settle
      waiters.resumeAll()
      yield* settle
      const other = yield* Effect.fork(waiters.waitUntilFailure(1, never, connected))
      yield* settle
      yield* Fiber.interrupt(interrupted)
      waiters.attemptFailed(refused)
      yield* settle
      expect(other.unsafePoll()).toEqual(Exit.fail("refused"))
      yield* Fiber.interrupt(other)
    })
  )

  it.effect("leaves nothing behind when it is interrupted", () =>
    Effect.gen(function* () {
      const waiters = make()
      const fiber = yield* Effect.fork(waiters.waitUntilFailure(1000, never, connected))
      yield* settle
      yield* Fiber.interrupt(fiber)
      const resumed = vi.spyOn(Waiters.prototype, "resumeAll")
      waiters.resumeAll()
      // Those who wait for a connection, however many attempts fail, are resumed together.
      expect(resumed).toHaveBeenCalledTimes(1)
      resumed.mockRestore()
    })
  )
})
