import { Effect, Stream } from "effect"
import { PgEndpoint, PgService } from "effect-client-service-pg"

export const after = (url: string, onJob: (job: string) => void) =>
  Effect.gen(function* () {
    const pg = yield* PgService.make({ endpoint: PgEndpoint.make({ url }) })

    // Listens on each connection, and says where something may be missing.
    yield* pg.listen("jobs", { gap: () => "may have missed some" }).pipe(
      Stream.runForEach((event) => Effect.sync(() => onJob(typeof event === "string" ? event : event.payload))),
      Effect.forkScoped
    )

    const count = Effect.map(
      pg.query<{ count: number }>("SELECT count(*)::int AS count FROM jobs"),
      ({ rows }) => rows[0]?.count
    )
    return { count }
  })
