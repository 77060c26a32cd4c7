import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { PgEndpoint, PgService } from "effect-client-service-pg"
import pg from "pg"
import * as postgres from "test-servers/postgres"
import { callersOf, timedCalls } from "../callers.js"
import { installed } from "../installed.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"

const query = "SELECT 1"

const queriesBy = (callers: number, calls: number): Row => ({
  name: `a PostgreSQL SELECT 1, ${callersOf(callers)}`,
  against: "the same client in Effect.promise",
  unit: "ms",
  reach: { ratio: 1.2 },
  samples: Effect.gen(function* () {
    const paths = yield* installed(postgres.install)
    const { database, host, password, port, user } = yield* postgres.make(paths)
    const service = yield* PgService.make({
      endpoint: PgEndpoint.make({ host, port, user, database, password: Redacted.make(password) })
    })
    yield* Effect.orDie(service.service.whenConnected())
    const client = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new pg.Client({ host, port, user, database, password })
        await client.connect()
        return client
      }),
      (client) => Effect.promise(() => client.end())
    )
    return yield* interleave({
      rounds: 7,
      warmUp: 2,
      subject: timedCalls(calls, callers, () => service.query(query)),
      against: timedCalls(calls, callers, () => Effect.promise(() => client.query(query)))
    })
  })
})

export const pgQueries: ReadonlyArray<Row> = [queriesBy(1, 4_000), queriesBy(50, 8_000)]
