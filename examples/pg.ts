import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { PgError, PgService } from "effect-client-service-pg"

const PgLive = PgService.layerConfig(
  { url: Config.redacted("DATABASE_URL") },
  // A password that is wrong now will be wrong in a minute. Everything else is tried again.
  { retryPolicy: { while: (error) => !PgError.isFatal(error) } }
)

const program = Effect.gen(function* () {
  const pg = yield* PgService.PgService
  const read = Effect.flatMap(pg.query("SELECT id FROM jobs"), ({ rows }) => Console.log(`${rows.length} jobs`))
  // Notifications may have been missed, as before the start. If the connection is lost meanwhile, another gap follows.
  const readAgain = Effect.catchTag(read, "ConnectionLost", () => Console.log("lost"))
  const jobs = pg.listen("jobs", { subscribed: () => "listening", gap: () => "may have missed some" })
  yield* jobs.pipe(
    Stream.tap((event) => (typeof event === "string" ? readAgain : Console.log(`job: ${event.payload}`))),
    Stream.takeUntil((event) => typeof event !== "string" && event.payload === "stop"),
    Stream.runDrain
  )
})

NodeRuntime.runMain(Effect.provide(program, PgLive))
