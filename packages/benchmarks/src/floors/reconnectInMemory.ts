import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ClientService, RetryPolicy, Telemetry } from "effect-client-service"
import { cpuTimedEach, interleave } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const cycles = 5_000

const reconnecting = Effect.gen(function* () {
  const service = yield* ClientService.make({
    endpoint: memoryEndpoint,
    retryPolicy: RetryPolicy.fromFunction(() => 0)
  })
  yield* service.start
  return Effect.orDie(
    cpuTimedEach(
      cycles,
      () => service.whenConnected(),
      (signal) => signal.lost()
    )
  )
})

export const reconnectInMemory: Row = {
  name: "a reconnect cycle in memory, zero delay",
  against: "fork, yield and join of one fiber",
  unit: "ms",
  reach: { ratio: 7 },
  samples: Effect.gen(function* () {
    return yield* interleave({
      rounds: 31,
      warmUp: 5,
      subject: yield* reconnecting,
      against: cpuTimedEach(cycles, () => Effect.flatMap(Effect.fork(Effect.yieldNow()), Fiber.join))
    })
  })
}

export const reconnectMeasured: Row = {
  name: "a reconnect cycle in memory, measured by Telemetry",
  against: "the same unmeasured",
  unit: "ms",
  reach: { ratio: 1.03 },
  samples: Effect.gen(function* () {
    return yield* interleave({
      rounds: 31,
      warmUp: 5,
      subject: yield* Effect.provide(reconnecting, Telemetry.layer),
      against: yield* reconnecting
    })
  })
}
