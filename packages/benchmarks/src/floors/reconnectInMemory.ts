import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ClientService, RetryPolicy } from "effect-client-service"
import { cpuTimedEach, interleave } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const cycles = 5_000

export const reconnectInMemory: Row = {
  name: "a reconnect cycle in memory, zero delay",
  against: "fork, yield and join of one fiber",
  unit: "ms",
  reach: { ratio: 7 },
  samples: Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: memoryEndpoint,
      retryPolicy: RetryPolicy.fromFunction(() => 0)
    })
    yield* service.start
    return yield* interleave({
      rounds: 31,
      warmUp: 5,
      subject: Effect.orDie(
        cpuTimedEach(
          cycles,
          () => service.whenConnected(),
          (signal) => signal.lost()
        )
      ),
      against: cpuTimedEach(cycles, () => Effect.flatMap(Effect.fork(Effect.yieldNow()), Fiber.join))
    })
  })
}
