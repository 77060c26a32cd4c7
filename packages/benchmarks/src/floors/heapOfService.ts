import * as Effect from "effect/Effect"
import { ClientService } from "effect-client-service"
import { heapUsed, repeat } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const services = 10_000

export const heapOfService: Row = {
  name: "heap of a connected service, of 10,000 in memory",
  against: "",
  unit: "B",
  reach: { amount: 12 * 1024 },
  samples: repeat({
    rounds: 7,
    warmUp: 1,
    subject: Effect.gen(function* () {
      const before = yield* heapUsed
      const made = yield* Effect.forEach(Array.from({ length: services }), () => connected)
      const after = yield* heapUsed
      // The list keeps the services until here.
      return (after - before) / made.length
    }).pipe(Effect.scoped)
  })
}

const connected = Effect.gen(function* () {
  const service = yield* ClientService.make({ endpoint: memoryEndpoint })
  yield* service.start
  yield* Effect.orDie(service.whenConnected())
  return service
})
