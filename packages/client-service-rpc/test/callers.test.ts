import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { callers } from "../src/internal/callers.js"

const count = 5000

it.effect("who makes a request is remembered until it is sent, however many others do, and nobody who has ended", () =>
  Effect.gen(function* () {
    const { generateRequestId, take } = callers()
    const request = Effect.sync(() => String(generateRequestId()))
    const begun = new Map<string, unknown>()
    const makeAndWait = Effect.flatMap(request, (id) => {
      begun.set(id, Option.getOrUndefined(Fiber.getCurrentFiber()))
      return Effect.never
    })
    const [unsent, ended] = yield* Effect.zip(request, Effect.flatMap(Effect.fork(request), Fiber.join))
    yield* Effect.forEach(Array.from({ length: count }), () => Effect.fork(makeAndWait))
    yield* Effect.yieldNow()
    // As with streams, whose requests are sent later.
    const together = yield* Effect.replicateEffect(request, 16)
    const own = Option.getOrUndefined(Fiber.getCurrentFiber())
    expect(begun.size).toBe(count)
    for (const [id, fiber] of begun) expect(take(id)).toBe(fiber)
    expect(together.map(take)).toEqual(together.map(() => own))
    // Nobody asks for either, and both would be remembered for ever.
    expect([take(unsent), take(ended)]).toEqual([undefined, undefined])
  })
)
