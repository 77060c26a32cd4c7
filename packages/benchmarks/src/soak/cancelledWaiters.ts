import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import { forkWaiters } from "../waiters.js"
import { census, sampled } from "./census.js"
import type { Soak } from "./soak.js"

const atATime = 1000

export const cancelledWaiters: Soak = {
  name: "1,000,000 cancelled waiters",
  operations: "waiters",
  samples: Effect.gen(function* () {
    const { sample, supervised } = yield* census
    const service = yield* supervised(
      ClientService.make({
        endpoint: Endpoint.make({ name: "down", connect: () => Effect.fail("refused") }),
        retryPolicy: RetryPolicy.fromFunction(() => "1 day")
      })
    )
    yield* service.start
    let turn = 0
    const waitAndCancel = Effect.suspend(() => {
      turn += 1
      const wait = turn % 2 === 0 ? service.whenConnected() : service.whenConnected({ failAfterFailures: turn })
      return Effect.flatMap(supervised(forkWaiters(atATime, () => wait)), Fiber.interruptAll)
    })
    return yield* sampled({
      operations: 1_000_000,
      run: (waiters) => Effect.repeatN(waitAndCancel, waiters / atATime - 1),
      sample
    })
  })
}
