import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import { ClientService, ClientServiceMap } from "effect-client-service"
import { cpuTimedEach, interleave } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const times = 20_000
const idleTimeToLive = "1 minute"

export const mapGet: Row = {
  name: "a service of a ClientServiceMap, by key",
  against: "what an RcMap has for the key",
  unit: "ms",
  reach: { ratio: 1.5 },
  samples: Effect.gen(function* () {
    const services = yield* ClientServiceMap.make({
      lookup: () => ClientService.make({ endpoint: memoryEndpoint }),
      idleTimeToLive
    })
    const values = yield* RcMap.make({ lookup: Effect.succeed<string>, idleTimeToLive })
    return yield* interleave({
      rounds: 15,
      warmUp: 4,
      subject: cpuTimedEach(times, () => Effect.scoped(services.get("key"))),
      against: cpuTimedEach(times, () => Effect.scoped(RcMap.get(values, "key")))
    })
  })
}
