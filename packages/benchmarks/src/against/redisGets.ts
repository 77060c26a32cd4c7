import * as Effect from "effect/Effect"
import { Redis, RedisEndpoint } from "effect-client-service-redis"
import * as redisServer from "test-servers/redis"
import { callersOf, timedCalls } from "../callers.js"
import { installed } from "../installed.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"

const key = "key"

const getsBy = (callers: number, calls: number): Row => ({
  name: `a Redis GET, ${callersOf(callers)}`,
  against: "the same client in Effect.promise",
  unit: "ms",
  reach: { ratio: 1.2 },
  samples: Effect.gen(function* () {
    const paths = yield* installed(redisServer.install)
    const { host, port } = yield* redisServer.make(paths)
    const redis = yield* Redis.make({ endpoint: RedisEndpoint.make({ host, port }) })
    yield* Effect.orDie(redis.use((client) => client.set(key, "value")))
    // On one connection, so that both sides have the same options, and the same buffers.
    const { client } = yield* Effect.orDie(redis.service.whenConnected())
    return yield* interleave({
      rounds: 7,
      warmUp: 2,
      subject: timedCalls(calls, callers, () => redis.use((client) => client.get(key))),
      against: timedCalls(calls, callers, () => Effect.promise(() => client.get(key)))
    })
  })
})

export const redisGets: ReadonlyArray<Row> = [getsBy(1, 5_000), getsBy(50, 30_000), getsBy(500, 50_000)]
