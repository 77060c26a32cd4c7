import { Effect, Predicate } from "effect"
import { PgEndpoint, PgService } from "effect-client-service-pg"
import { drive } from "./drive.js"
import { main } from "./world.js"

await main((world) =>
  Effect.gen(function* () {
    const pg = yield* PgService.PgService
    const ask = Effect.map(pg.query("SELECT 6 * 7 AS answer"), ({ rows }) => String(rows[0]?.["answer"]))
    yield* drive(world, "postgres", ask, pg.query("SELECT pg_sleep(60)"), Predicate.isTagged("ConnectionLost"))
  }).pipe(Effect.provide(PgService.layer({ endpoint: PgEndpoint.make({ url: world.servers["postgres"] }) })))
)
