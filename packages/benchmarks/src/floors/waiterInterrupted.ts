import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ClientService } from "effect-client-service"
import { cpuTimed, interleave } from "../measure.js"
import { gatedEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"
import { forkWaiters } from "../waiters.js"

const many = 40_000
const few = 4_000
const interruptions = 2_000

export const waiterInterrupted: Row = {
  name: "interrupting one of 40,000 waiters",
  against: "one of 4,000",
  unit: "ms",
  reach: { ratio: 1.5 },
  samples: Effect.gen(function* () {
    return yield* interleave({
      rounds: 31,
      warmUp: 5,
      subject: yield* interruptionAmong(many),
      against: yield* interruptionAmong(few)
    })
  })
}

// Interrupts some of the waiters, from all over their order of arrival, and has as many new ones come after.
const interruptionAmong = (count: number) =>
  Effect.gen(function* () {
    const { endpoint } = yield* gatedEndpoint
    const service = yield* ClientService.make({ endpoint })
    yield* service.start
    const waiters = yield* forkWaiters(count, () => service.whenConnected())
    return Effect.gen(function* () {
      const stride = count / interruptions
      const victims = waiters.filter((_, index) => index % stride === 0)
      const millis = yield* cpuTimed(Effect.forEach(victims, (fiber) => Fiber.interrupt(fiber), { discard: true }))
      const next = yield* forkWaiters(interruptions, () => service.whenConnected())
      // A stride is even, so rotating by one has every waiter's turn come.
      next.forEach((fiber, index) => {
        waiters[index * stride] = fiber
      })
      const first = waiters.shift()
      if (first !== undefined) waiters.push(first)
      return millis / interruptions
    })
  })
