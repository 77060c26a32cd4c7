import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ClientService } from "effect-client-service"
import { cpuTimedEach, interleave } from "../measure.js"
import { memoryEndpoint } from "../memoryEndpoint.js"
import type { Row } from "../row.js"

const atATime = 1_000

const connected = Effect.gen(function* () {
  const service = yield* ClientService.make({ endpoint: memoryEndpoint })
  yield* service.start
  yield* Effect.orDie(service.whenConnected())
  return service
})

const forkAndJoin = Effect.flatMap(Effect.fork(Effect.succeed(1)), Fiber.join)

const useAgainstFork = (name: string, times: number, ratio: number, f: () => Effect.Effect<unknown>): Row => ({
  name,
  against: "fork and join of one fiber",
  unit: "ms",
  reach: { ratio },
  samples: Effect.gen(function* () {
    const service = yield* connected
    return yield* interleave({
      rounds: 15,
      warmUp: 4,
      subject: Effect.orDie(cpuTimedEach(times, () => service.use(f))),
      against: cpuTimedEach(times, () => forkAndJoin)
    })
  })
})

const useAtATime: Row = {
  name: "use, done at once, 1,000 at a time",
  against: "1,000 forks and joins at a time",
  unit: "ms",
  reach: { ratio: 0.9 },
  samples: Effect.gen(function* () {
    const service = yield* connected
    const use = service.use(() => Effect.succeed(1))
    return yield* interleave({
      rounds: 15,
      warmUp: 4,
      subject: Effect.orDie(together(use)),
      against: together(forkAndJoin)
    })
  })
}

const together = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<number, E> => {
  const all = Effect.forEach(Array.from({ length: atATime }), () => effect, { concurrency: "unbounded", discard: true })
  return Effect.map(
    cpuTimedEach(30, () => all),
    (millis) => millis / atATime
  )
}

export const uses: ReadonlyArray<Row> = [
  useAgainstFork("use, done at once", 100_000, 0.5, () => Effect.succeed(1)),
  useAgainstFork("use, a promise that is resolved", 50_000, 0.8, () => Effect.promise(() => Promise.resolve(1))),
  useAtATime
]
