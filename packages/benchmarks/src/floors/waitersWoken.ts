import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { ClientService } from "effect-client-service"
import { cpuTimed, interleave } from "../measure.js"
import { gatedEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"
import { forkAndWake } from "../waiters.js"

const waiters = 20_000

export const waitersWoken: Row = {
  name: "20,000 waiters registered, then woken by a connection",
  against: "20,000 fibers on one Deferred",
  unit: "ms",
  reach: { ratio: 1.2 },
  samples: interleave({
    rounds: 21,
    warmUp: 4,
    subject: Effect.gen(function* () {
      const { endpoint, open } = yield* gatedEndpoint
      const service = yield* ClientService.make({ endpoint })
      yield* service.start
      return yield* Effect.orDie(cpuTimed(forkAndWake(waiters, () => service.whenConnected(), open)))
    }).pipe(Effect.scoped),
    against: Effect.gen(function* () {
      const deferred = yield* Deferred.make<number>()
      return yield* cpuTimed(forkAndWake(waiters, () => Deferred.await(deferred), Deferred.succeed(deferred, 1)))
    })
  })
}
