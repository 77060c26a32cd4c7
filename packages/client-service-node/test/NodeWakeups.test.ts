import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { NodeWakeups } from "effect-client-service-node"

const listeners = () => process.listenerCount("SIGCONT")

// Windows has no such signal.
describe.skipIf(process.platform === "win32")("NodeWakeups", () => {
  for (const name of ["continued", "any"] as const) {
    it.live(`${name} tells that the process goes on, and leaves no listener behind`, () =>
      Effect.gen(function* () {
        const before = listeners()
        const woken = yield* Effect.fork(Stream.runHead(NodeWakeups[name]))
        while (listeners() === before) yield* Effect.yieldNow()
        process.kill(process.pid, "SIGCONT")
        expect(yield* Fiber.join(woken)).toEqual(Option.some("Continued"))
        expect(listeners()).toBe(before)
      })
    )
  }
})
