import { expect } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Stream } from "effect"
import type { PgService } from "effect-client-service-pg"
import type { Client, Connection } from "pg"
import { hear, isPayload, start } from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

const withClient = <A>(pg: PgService.Service, f: (client: Client) => PromiseLike<A>) =>
  pg.service.use((connection) => connection.withClient(f))

/** All that somebody may be interrupted in. Each leaves a row of its number if it is done. */
const calls: Record<string, (pg: PgService.Service, n: number) => Effect.Effect<unknown, unknown>> = {
  query: (pg, n) => pg.query("INSERT INTO done VALUES ($1)", [n]),
  "a query that takes long": (pg, n) => pg.query(`INSERT INTO done SELECT ${n} FROM pg_sleep(0.01)`),
  "a statement that is prepared": (pg, n) => pg.query({ name: "insert", text: "INSERT INTO done VALUES ($1)" }, [n]),
  withClient: (pg, n) =>
    withClient(pg, async (client) => {
      await client.query("BEGIN; SET LOCAL work_mem = '1MB'")
      await client.query("INSERT INTO done VALUES ($1)", [n])
      await client.query("COMMIT")
    }),
  "withClient that leaves much behind": (pg, n) =>
    withClient(pg, async (client) => {
      await client.query("SET work_mem = '1MB'; SET ROLE pg_monitor; RESET ROLE; SET app.number = '1'")
      await client.query("CREATE TEMP TABLE IF NOT EXISTS mine (); SELECT pg_advisory_lock(5); LISTEN mine")
      await client.query("INSERT INTO done VALUES ($1)", [n])
    }),
  transaction: (pg, n) =>
    pg.transaction(({ query, savepoint }) =>
      query("SELECT 1").pipe(
        Effect.zipRight(savepoint(savepoint(query("INSERT INTO done VALUES ($1)", [n])))),
        Effect.zipRight(Effect.ignore(savepoint(query("SELECT 1 / 0"))))
      )
    ),
  listen: (pg) => Stream.runDrain(pg.listen("other"))
}

describeWithServer("whoever is interrupted at any moment", (test) => {
  for (const [name, call] of Object.entries(calls)) {
    test(`in ${name} leaves nothing behind, and the next has its own answer`, (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server, { heartbeat: false, connection: { application_name: "interrupted" } })
        yield* admin.query("DROP TABLE IF EXISTS done; CREATE TABLE done (n int)")
        const heard = yield* hear(pg, "all")
        const succeeded: Array<number> = []
        for (let n = 0; n < 40; n++) {
          const caller = yield* Effect.fork(
            Effect.tap(call(pg, n), () => {
              succeeded.push(n)
            })
          )
          const turns = yield* Random.nextIntBetween(0, 20)
          yield* n % 2 === 0 ? Effect.repeatN(Effect.yieldNow(), turns) : Effect.sleep(Duration.millis(turns / 3))
          const next = yield* Effect.fork(pg.query("SELECT $1::int AS n", [n]))
          yield* Fiber.interrupt(caller)
          expect((yield* Fiber.join(next)).rows).toEqual([{ n }])
        }
        const { rows } = yield* pg.query<{ readonly n: number }>("SELECT n FROM done ORDER BY n")
        const done = rows.map(({ n }) => n)
        expect(new Set(done).size).toBe(done.length)
        expect(succeeded.filter((n) => name !== "listen" && !done.includes(n))).toEqual([])
        // What belongs to the session is as it was.
        const session = yield* pg.query(
          `SELECT current_user::text AS user, current_setting('work_mem') AS mem, to_regclass('mine') AS mine,
            nullif(current_setting('app.number', true), '') AS number, (SELECT array_agg(name) FROM pg_listening_channels() AS name) AS heard,
            (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS locks`
        )
        expect(session.rows).toEqual([
          { user: server.user, mem: "4MB", mine: null, number: null, heard: ["all"], locks: 0 }
        ])
        yield* admin
          .query("NOTIFY all, 'still there'")
          .pipe(Effect.catchAll(() => admin.query(`NOTIFY "all", 'still there'`)))
        yield* heard.until(isPayload("still there"))
        // Of connections of one's own, and of what asked to cancel, nothing is left.
        yield* Effect.repeat(admin.query("SELECT state FROM pg_stat_activity WHERE application_name = 'interrupted'"), {
          until: ({ rows }) => rows.length === 1 && rows[0]?.["state"] === "idle"
        })
        expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      }).pipe(Effect.withRandom(Random.make(name))))
  }

  test("in COPY, or in the middle of a cursor, costs the connection, and the next has its own answer", (server) =>
    Effect.gen(function* () {
      const admin = yield* start(server)
      const pg = yield* start(server, { heartbeat: false, connection: { application_name: "copying" } })
      yield* admin.query("CREATE TABLE copied (n int)")
      const copy = {
        submit: (connection: Connection) => connection.query("COPY copied FROM STDIN"),
        handleError: () => {},
        handleReadyForQuery: () => {},
        handleCommandComplete: () => {},
        handleCopyInResponse: () => {}
      }
      for (const wait of [0, 1, 30]) {
        const caller = yield* Effect.fork(
          withClient(pg, async (client) => {
            client.query(copy)
            await new Promise(() => {})
          })
        )
        yield* Effect.sleep(Duration.millis(wait))
        yield* Fiber.interrupt(caller)
        const next = pg.query("SELECT 1 AS n").pipe(Effect.retry({ times: 2 }))
        expect((yield* next).rows).toEqual([{ n: 1 }])
      }
      yield* Effect.repeat(admin.query("SELECT FROM pg_stat_activity WHERE application_name = 'copying'"), {
        until: ({ rowCount }) => rowCount === 1
      })
      expect((yield* admin.query("SELECT FROM copied")).rowCount).toBe(0)
    }))
})
