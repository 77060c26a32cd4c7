import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { Redis } from "effect-client-service-redis"

// Connects in the background, and again whenever the connection is lost, until the program ends.
const RedisLive = Redis.layerConfig({ url: Config.redacted("REDIS_URL") })

const program = Effect.gen(function* () {
  const redis = yield* Redis.Redis

  // Waits for a connection. If that is lost before the answer, fails with ConnectionLost.
  yield* Console.log(`visits: ${yield* redis.use((client) => client.incr("visits"))}`)
  const [, name] = yield* redis.transaction((client) => client.multi().set("name", "alice").get("name"))
  yield* Console.log(`name: ${name}`)

  // Goes on across connections, and says so where messages may be missing.
  const news = redis.subscribe("news", { subscribed: () => "subscribed", gap: () => "may have missed some" })
  const lines = Stream.map(news, (element) => (typeof element === "string" ? element : `news: ${element.message}`))
  yield* lines.pipe(
    Stream.takeUntil((line) => line === "news: good night"),
    Stream.runForEach((line) => Console.log(line))
  )
})

NodeRuntime.runMain(Effect.provide(program, RedisLive))
