import { Effect, Predicate } from "effect"
import { Redis, RedisEndpoint } from "effect-client-service-redis"
import { drive } from "./drive.js"
import { main } from "./world.js"

await main((world) =>
  Effect.gen(function* () {
    const redis = yield* Redis.Redis
    const ask = redis.use((client) => client.incr("visits"))
    const call = redis.use((client) => client.blPop("jobs", 0))
    yield* drive(world, "redis", ask, call, Predicate.isTagged("ConnectionLost"))
  }).pipe(Effect.provide(Redis.layer({ endpoint: RedisEndpoint.make({ url: world.servers["redis"] }) })))
)
