import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { PgError, type PgEvent, PgService } from "effect-client-service-pg"

const PgLive = PgService.layerConfig(
  { url: Config.redacted("DATABASE_URL") },
  // A password that is wrong now will be wrong in a minute. Everything else is tried again.
  { retryPolicy: { while: (error) => !PgError.isFatal(error) } }
)

const program = Effect.gen(function* () {
  const pg = yield* PgService.PgService
  const read = Effect.flatMap(pg.query("SELECT id FROM jobs"), ({ rows }) => Console.log(`${rows.length} jobs`))
  const handle = (event: PgEvent.PgEvent) =>
    event._tag === "Notification"
      ? Console.log(`job: ${event.payload}`)
      : // Notifications may have been missed, as before the start. If the connection is lost meanwhile, another gap follows.
        Effect.catchTag(read, "ConnectionLost", () => Console.log("lost"))
  const isLast = (event: PgEvent.PgEvent) => event._tag === "Notification" && event.payload === "stop"
  yield* pg.listen("jobs", { gapAtStart: true }).pipe(Stream.takeUntil(isLast), Stream.runForEach(handle))
})

NodeRuntime.runMain(Effect.provide(program, PgLive))
