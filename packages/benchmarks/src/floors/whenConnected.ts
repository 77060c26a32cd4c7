import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { ClientService } from "effect-client-service"
import { cpuTimedEach, interleave } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const calls = 200_000

export const whenConnected: Row = {
  name: "whenConnected() when connected",
  against: "SubscriptionRef.get",
  unit: "ms",
  reach: { ratio: 1.3 },
  samples: Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint: memoryEndpoint })
    yield* service.start
    const protocol = yield* Effect.orDie(service.whenConnected())
    const ref = yield* SubscriptionRef.make(protocol)
    return yield* interleave({
      rounds: 31,
      warmUp: 5,
      subject: Effect.orDie(cpuTimedEach(calls, () => service.whenConnected())),
      against: cpuTimedEach(calls, () => SubscriptionRef.get(ref))
    })
  })
}
