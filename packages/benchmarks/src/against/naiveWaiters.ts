import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { ClientService } from "effect-client-service"
import { cpuTimed, interleave } from "../measure.js"
import { gatedEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"
import { forkAndWake } from "../waiters.js"

const waiters = 1_000

export const naiveWaiters: Row = {
  name: "a waiter, of 1,000 registered, then woken",
  against: "SubscriptionRef.changes, filter, runHead",
  unit: "ms",
  samples: interleave({
    rounds: 11,
    warmUp: 2,
    subject: Effect.gen(function* () {
      const { endpoint, open } = yield* gatedEndpoint
      const service = yield* ClientService.make({ endpoint })
      yield* service.start
      const millis = yield* Effect.orDie(cpuTimed(forkAndWake(waiters, () => service.whenConnected(), open)))
      return millis / waiters
    }).pipe(Effect.scoped),
    against: Effect.gen(function* () {
      const connection = yield* SubscriptionRef.make(Option.none<number>())
      const wait = connection.changes.pipe(Stream.filter(Option.isSome), Stream.runHead)
      const millis = yield* cpuTimed(forkAndWake(waiters, () => wait, SubscriptionRef.set(connection, Option.some(1))))
      return millis / waiters
    })
  })
}
