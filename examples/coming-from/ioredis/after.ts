import { Effect, Stream } from "effect"
import { Redis, RedisEndpoint } from "effect-client-service-redis"

export const after = (url: string, onNews: (news: string) => void) =>
  Effect.gen(function* () {
    const redis = yield* Redis.make({ endpoint: RedisEndpoint.make({ url }) })

    // On the same connection, across all that follow.
    yield* redis.subscribe("news", { subscribed: () => "subscribed", gap: () => "may have missed some" }).pipe(
      Stream.runForEach((news) => Effect.sync(() => onNews(typeof news === "string" ? news : news.message))),
      Effect.forkScoped
    )

    // Fails with ConnectionLost if the answer was lost, since it may have been counted. It closes with its Scope.
    return { visit: redis.use((client) => client.incr("visits")) }
  })
