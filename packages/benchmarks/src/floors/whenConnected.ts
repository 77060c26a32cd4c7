import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { ClientService } from "effect-client-service"
import { cpuTimed, interleave } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const calls = 2_000_000

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
      rounds: 15,
      warmUp: 5,
      subject: Effect.orDie(yielded(() => service.whenConnected())),
      against: yielded(() => SubscriptionRef.get(ref))
    })
  })
}

// In a generator, as programs ask for either.
const yielded = <A, E>(ask: () => Effect.Effect<A, E>): Effect.Effect<number, E> =>
  Effect.map(
    cpuTimed(
      Effect.gen(function* () {
        for (let call = 0; call < calls; call += 1) yield* ask()
      })
    ),
    (millis) => millis / calls
  )
