import { describe, expect } from "@effect/vitest"
import { Effect, Exit } from "effect"
import type { PgService } from "effect-client-service-pg"
import { type Client, Connection, DatabaseError, type QueryConfig } from "pg"
import { hear, isGap, isPayload, start } from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

const withClient = <A>(pg: PgService.Service, f: (client: Client) => PromiseLike<A>) =>
  pg.service.use((connection) => connection.withClient(f))

const generation = (pg: PgService.Service) =>
  Effect.map(pg.service.state.get, (state) => (state._tag === "Connected" ? state.generation : state._tag))

/** Has functions that do what the server does not tell of. */
const makeFunctions = (pg: PgService.Service) =>
  Effect.forEach(["UNLISTEN *", "DEALLOCATE ALL", "RESET ALL", "SET ROLE pg_monitor", "DISCARD TEMP"], (statement) =>
    pg.query(
      `CREATE OR REPLACE FUNCTION "${statement}"() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE '${statement}'; END $$`
    )
  )

/** What `pg` takes for a query of its own, and which does not come to its end. */
const unending = (begin: (connection: Connection) => void) => ({
  submit: begin,
  handleError: () => {},
  handleReadyForQuery: () => {},
  handleRowDescription: () => {},
  handleDataRow: () => {},
  handlePortalSuspended: () => {},
  handleCommandComplete: () => {},
  handleCopyInResponse: () => {}
})

const call = (connection: Connection, method: string, ...args: ReadonlyArray<unknown>) => {
  const f: unknown = Reflect.get(connection, method)
  if (typeof f === "function") f.apply(connection, args)
}

describeWithServer("the session", (test) => {
  describe("of a turn that has ended what others listen to", () => {
    for (const [name, end] of [
      ["in a function", `SELECT "UNLISTEN *"()`],
      ["in a DO block", "DO $$ BEGIN UNLISTEN *; END $$"],
      ["in the middle of a text", "SELECT 1; UNLISTEN quiet; SELECT 2"],
      ["in a function within a transaction", `BEGIN; SELECT "UNLISTEN *"(); COMMIT`]
    ] as const) {
      test(`${name} is lost, and they are told of the gap`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, { heartbeat: false })
          yield* makeFunctions(pg)
          const heard = yield* hear(pg, "quiet")
          yield* Effect.exit(withClient(pg, (client) => client.query(end)))
          yield* heard.until(isGap("Reconnected"))
          yield* pg.query("NOTIFY quiet, 'still there'")
          yield* heard.until(isPayload("still there"))
          expect(yield* generation(pg)).toBe(2)
        }))
    }

    test("and has it rolled back is kept", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: false })
        yield* makeFunctions(pg)
        const heard = yield* hear(pg, "quiet")
        yield* withClient(pg, (client) => client.query(`BEGIN; SELECT "UNLISTEN *"(); ROLLBACK`))
        yield* pg.query("NOTIFY quiet, 'still there'")
        yield* heard.until(isPayload("still there"))
        expect(yield* generation(pg)).toBe(1)
      }))
  })

  describe("of a statement that ends what others have", () => {
    for (const [statement, isListening] of [
      ["UNLISTEN *", true],
      ["SELECT 1; UNLISTEN quiet", true],
      ["DISCARD ALL", false],
      ["DEALLOCATE ALL", false]
    ] as const) {
      test(`as ${statement} is lost`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, { heartbeat: false })
          if (isListening) {
            const heard = yield* hear(pg, "quiet")
            yield* Effect.exit(pg.query(statement))
            yield* heard.until(isGap("Reconnected"))
          } else yield* Effect.exit(pg.query(statement))
          yield* pg.query("SELECT 1")
          expect(yield* generation(pg)).toBe(2)
        }))
    }

    test("as UNLISTEN of what nobody listens to is kept", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: false })
        yield* hear(pg, "quiet")
        yield* pg.query("LISTEN own; UNLISTEN own")
        yield* pg.query("SELECT 1")
        expect(yield* generation(pg)).toBe(1)
      }))

    test("in a function is lost at the next heartbeat", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: { interval: "20 millis" } })
        yield* makeFunctions(pg)
        const heard = yield* hear(pg, "quiet")
        yield* pg.query(`SELECT "UNLISTEN *"()`)
        yield* heard.until(isGap("Reconnected"))
        yield* pg.query("NOTIFY quiet, 'still there'")
        yield* heard.until(isPayload("still there"))
      }))
  })

  describe("of a turn that changes it in a function is as it was", () => {
    for (const [statement, look] of [
      ["RESET ALL", "SELECT current_setting('work_mem')"],
      ["SET ROLE pg_monitor", "SELECT current_user::text"]
    ] as const) {
      test(`after ${statement}`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, { prepare: (connection) => connection.query("SET work_mem = '1MB'") })
          yield* makeFunctions(pg)
          const before = yield* pg.query(look)
          yield* withClient(pg, (client) => client.query(`SELECT "${statement}"()`))
          expect((yield* pg.query(look)).rows).toEqual(before.rows)
          expect(yield* generation(pg)).toBe(1)
        }))
    }

    test("but what a statement alone has set before stays", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* withClient(pg, (client) => client.query("SELECT 1"))
        yield* pg.query("SELECT set_config('work_mem', '2MB', false), pg_advisory_lock(1)")
        yield* pg.query("CREATE TEMP TABLE of_all ()")
        yield* withClient(pg, (client) => client.query("SET work_mem = '3MB'; CREATE TEMP TABLE mine ()"))
        const { rows } = yield* pg.query("SELECT current_setting('work_mem') AS mem, to_regclass('mine') AS mine")
        expect(rows).toEqual([{ mem: "2MB", mine: null }])
        yield* pg.query("SELECT FROM of_all")
        expect((yield* pg.query("SELECT FROM pg_locks WHERE locktype = 'advisory'")).rowCount).toBe(1)
      }))

    test("and holds no advisory lock of its own, of any kind and however often it was taken", (server) =>
      Effect.gen(function* () {
        const held = { text: "SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()" }
        const pg = yield* start(server, { prepare: (connection) => connection.query("SELECT pg_advisory_lock(7)") })
        const other = yield* start(server)
        for (const key of ["1", "-1", "9223372036854775807", "-9223372036854775808", "1, 2", "-1, -2147483648"]) {
          for (const shared of ["", "_shared"]) {
            const lock = `SELECT pg_advisory_lock${shared}(${key}), pg_advisory_lock${shared}(${key})`
            yield* withClient(pg, (client) => client.query(lock))
            expect([key, (yield* pg.query(held)).rowCount]).toEqual([key, 1])
            expect((yield* other.query(`SELECT pg_try_advisory_xact_lock(${key}) AS free`)).rows).toEqual([
              { free: true }
            ])
          }
        }
        expect(yield* generation(pg)).toBe(1)
        // What prepare has taken is gone.
        yield* Effect.exit(withClient(pg, (client) => client.query("SELECT pg_advisory_unlock_all()")))
        expect((yield* pg.query(held)).rowCount).toBe(1)
        expect(yield* generation(pg)).toBe(2)
      }))

    test("and is who it was, also if it was somebody else than who has logged in", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        yield* admin.query("CREATE ROLE limited; CREATE ROLE other; GRANT limited TO other; CREATE ROLE nothing")
        const who = "SELECT current_user::text, session_user::text"
        for (const [prepare, leave] of [
          ["SET ROLE limited", "RESET ROLE"],
          // The server takes the role away with it.
          ["SET ROLE limited", "SET SESSION AUTHORIZATION other"],
          ["SET ROLE limited", "SET SESSION AUTHORIZATION nothing"],
          ["SET SESSION AUTHORIZATION other; SET ROLE limited", "RESET SESSION AUTHORIZATION"],
          ["SET work_mem = '1MB'", "SET SESSION AUTHORIZATION nothing"]
        ] as const) {
          const pg = yield* start(server, { prepare: (connection) => connection.query(prepare) })
          const before = yield* pg.query(who)
          yield* withClient(pg, (client) => client.query(leave))
          expect([prepare, leave, (yield* pg.query(who)).rows]).toEqual([prepare, leave, before.rows])
        }
      }))

    test("and has nothing more in its temporary schema, and no setting of its own", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { prepare: (connection) => connection.query("SET app.tenant = 'of all'") })
        for (const leave of [
          "CREATE TYPE pg_temp.leak AS ENUM ('a')",
          "CREATE DOMAIN pg_temp.leak AS int",
          "CREATE TYPE pg_temp.leak AS (a int)",
          "CREATE TYPE pg_temp.leak AS RANGE (subtype = int)",
          "CREATE TABLE pg_temp.leak (n int); CREATE FUNCTION pg_temp.leak(pg_temp.leak) RETURNS int LANGUAGE sql AS 'SELECT 1'",
          "CREATE AGGREGATE pg_temp.leak(int) (sfunc = int4pl, stype = int)",
          "CREATE FUNCTION pg_temp.same(int, int) RETURNS bool LANGUAGE sql AS 'SELECT $1 = $2'; CREATE OPERATOR pg_temp.=== (leftarg = int, rightarg = int, function = pg_temp.same)",
          "CREATE TABLE pg_temp.leak (a int, b int); CREATE STATISTICS pg_temp.leak ON a, b FROM pg_temp.leak",
          "CREATE TEXT SEARCH CONFIGURATION pg_temp.leak (COPY = simple); CREATE TEXT SEARCH DICTIONARY pg_temp.leak (TEMPLATE = simple)",
          "CREATE OPERATOR FAMILY pg_temp.leak USING btree; CREATE OPERATOR CLASS pg_temp.leak FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int)",
          "CREATE COLLATION pg_temp.leak FROM \"C\"; CREATE CONVERSION pg_temp.leak FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
          "CREATE PROCEDURE pg_temp.leak(int) LANGUAGE sql AS ''; CREATE VIEW pg_temp.leaking AS SELECT 1; CREATE SEQUENCE pg_temp.leaks",
          "SET app.tenant = 'alice'",
          'SET SESSION "app"."tenant" TO \'alice\'',
          "RESET app.tenant",
          "SELECT set_config('app.tenant', 'alice', false), set_config('app.other', 'alice', false)",
          "-- don't\nSELECT set_config('app.tenant', 'alice', false)",
          "/* it's /* one */ */ SELECT 'it''s', set_config ( $$app.tenant$$::text, 'alice', false)",
          "SET app . tenant = 'alice'",
          "SELECT 1; SET /* c */ LOCAL app.tenant = 'bob'; SET SESSION app.tenant TO 'alice'"
        ]) {
          yield* withClient(pg, (client) => client.query(leave))
          const left =
            yield* pg.query(`SELECT current_setting('app.tenant') AS tenant, nullif(current_setting('app.other', true), '') AS other,
            (SELECT count(*)::int FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = pg_my_temp_schema()) AS count`)
          expect([leave, left.rows]).toEqual([leave, [{ tenant: "of all", other: null, count: 0 }]])
        }
        const text = "SELECT set_config($1, $2, false)"
        for (const query of [{ text }, { name: "setting", text }, { name: "setting", text }]) {
          yield* withClient(pg, (client) => client.query(query, ["App.Tenant", "bob"]))
          const { rows } = yield* pg.query("SELECT current_setting('app.tenant') AS tenant")
          expect(rows).toEqual([{ tenant: "of all" }])
        }
        expect(yield* generation(pg)).toBe(1)
      }))

    test("is lost when something of all is another by the same name", (server) =>
      Effect.gen(function* () {
        for (const [make, end] of [
          ["CREATE TEMP TABLE kept (n int)", "DROP TABLE kept"],
          ["CREATE TEMP VIEW kept AS SELECT 1 AS n", "DROP VIEW kept"],
          ["CREATE TEMP SEQUENCE kept", "DROP SEQUENCE kept"],
          ["CREATE TYPE pg_temp.kept AS (n int)", "DROP TYPE pg_temp.kept"],
          ["CREATE FUNCTION pg_temp.kept() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION pg_temp.kept"],
          ["DECLARE kept CURSOR WITH HOLD FOR SELECT 1", "CLOSE kept"],
          ["PREPARE kept AS SELECT 1", "DEALLOCATE kept"]
        ] as const) {
          const pg = yield* start(server, { prepare: (connection) => connection.query(make) })
          yield* withClient(pg, (client) => client.query("SELECT 1"))
          const first = yield* generation(pg)
          const replacing = withClient(pg, (client) => client.query(`SET DateStyle = German; ${end}; ${make}`))
          expect(yield* Effect.flip(replacing)).toMatchObject({
            cause: { detail: expect.stringContaining("is another one now") }
          })
          yield* pg.query("SELECT 1")
          expect([make, first, yield* generation(pg)]).toEqual([make, 1, 2])
        }
      }))

    for (const [name, leave] of [
      [
        "that are told to what was prepared",
        ["PREPARE s AS SELECT set_config($1, $2, false); EXECUTE s('app.tenant', 'alice')"]
      ],
      ["that are put together", ["SELECT set_config('app' || '.tenant', 'alice', false)"]],
      ["that are in a table", ["SELECT set_config(name, 'alice', false) FROM (VALUES ('app.tenant')) AS t (name)"]],
      ["in a DO block", ["DO $$ BEGIN PERFORM set_config('app.tenant', 'alice', false); END $$"]],
      ["that are no names as others are", ["SELECT set_config($1, 'alice', false)", ["app.ten\u00e4nt"]]],
      [
        "of which there are more than are kept",
        [`SELECT ${Array.from({ length: 1001 }, (_, i) => `set_config('app.n${i}', '1', false)`).join(", ")}`]
      ]
    ] as const) {
      test(`is lost with settings by names ${name}`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, { prepare: (connection) => connection.query("SET app.tenant = 'of all'") })
          yield* Effect.exit(withClient(pg, (client) => client.query(leave[0], leave[1] && [...leave[1]])))
          const { rows } = yield* pg.query("SELECT current_setting('app.tenant') AS tenant")
          expect([rows, yield* generation(pg)]).toEqual([[{ tenant: "of all" }], 2])
        }))
    }

    test("and no value that is bound is in what it asks for itself", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const asked: Array<string> = []
        const { query } = Connection.prototype
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            Connection.prototype.query = function (text: string) {
              asked.push(text)
              return query.call(this, text)
            }
          }),
          () => Effect.sync(() => (Connection.prototype.query = query))
        )
        yield* withClient(pg, (client) =>
          client.query("SELECT set_config('app.key', $1, false), set_config($2, $3, false), 'a.literal'", [
            "secret.key",
            "app.id",
            "secret.id"
          ])
        )
        expect(asked.filter((text) => /secret|a\.literal/.test(text))).toEqual([])
        expect(yield* generation(pg)).toBe(1)
      }))

    test("and has as much time as before", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* withClient(pg, (client) => client.query("SET statement_timeout = 1"))
        expect((yield* pg.query("SELECT pg_sleep(0.05), current_setting('statement_timeout') AS is")).rowCount).toBe(1)
        expect(yield* generation(pg)).toBe(1)
      }))

    test("and has as much time as before, also when clearing up has taken longer than that", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, {
          prepare: (connection) => connection.query("SET statement_timeout = 200")
        })
        const admin = yield* start(server)
        yield* admin.query(`CREATE FUNCTION slow_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('statement_timeout') <> '0' THEN PERFORM pg_sleep(5); END IF; END $$`)
        yield* admin.query(
          "CREATE EVENT TRIGGER slow_drop ON ddl_command_start WHEN tag IN ('DROP TABLE') EXECUTE FUNCTION slow_drop()"
        )
        // A statement that is deallocated stays so when the rest is undone.
        yield* withClient(pg, (client) => client.query("PREPARE mine AS SELECT 1; CREATE TEMP TABLE mine ()"))
        yield* admin.query("DROP EVENT TRIGGER slow_drop")
        const { rows } = yield* pg.query(
          "SELECT current_setting('statement_timeout') AS time, to_regclass('mine') AS mine"
        )
        expect(rows).toEqual([{ time: "200ms", mine: null }])
        expect(yield* generation(pg)).toBe(1)
      }))

    test("and has no listeners more, and none less", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const heard = yield* hear(pg, "news")
        let mine = 0
        const count = (client: Client) => client.listenerCount("notification") + client.listenerCount("error")
        const before = yield* withClient(pg, async (client) => count(client))
        yield* withClient(pg, async (client) => {
          client.on("notification", () => mine++)
          client.once("error", () => {})
          client.removeAllListeners()
          client.on("notification", () => mine++)
        })
        expect(yield* withClient(pg, async (client) => count(client))).toBe(before)
        const late = yield* withClient(pg, async (client) => () => client.on("notification", () => mine++))
        late()
        expect(yield* withClient(pg, async (client) => count(client))).toBe(before)
        yield* pg.query("NOTIFY news, 'hello'")
        yield* heard.until(isPayload("hello"))
        expect(mine).toBe(0)
      }))

    test("and sends its statements as before", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* withClient(pg, async (client) => {
          Object.assign(client, { binary: true, pipeline: true })
        })
        expect((yield* pg.query("SELECT $1::int AS n", [1])).rows).toEqual([{ n: 1 }])
        expect(yield* generation(pg)).toBe(1)
      }))

    test("and listens to nothing of its own", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* hear(pg, "of_all")
        yield* withClient(pg, (client) => client.query("LISTEN mine"))
        const { rows } = yield* pg.query("SELECT pg_listening_channels() AS channel")
        expect(rows).toEqual([{ channel: "of_all" }])
        expect(yield* generation(pg)).toBe(1)
      }))

    test("and reads types as before", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, {
          prepare: (connection) =>
            connection.withClient(async (client) => {
              client.setTypeParser(20, Number)
            })
        })
        const mine = yield* withClient(pg, async (client) => {
          client.setTypeParser(23, (text) => `mine ${text}`)
          return client.query("SELECT 1 AS int, 2::int8 AS long")
        })
        expect(mine.rows).toEqual([{ int: "mine 1", long: 2 }])
        expect((yield* pg.query("SELECT 1 AS int, 2::int8 AS long")).rows).toEqual([{ int: 1, long: 2 }])
      }))
  })

  describe("has what is prepared by a name", () => {
    const named = (text: string): QueryConfig<Array<unknown>> => ({ name: "of all", text })

    for (const [name, end] of [
      ["by a turn", (pg: PgService.Service) => withClient(pg, (client) => client.query(`SELECT "DEALLOCATE ALL"()`))],
      ["by a statement", (pg: PgService.Service) => pg.query(`SELECT "DEALLOCATE ALL"()`)],
      ["by its name", (pg: PgService.Service) => pg.query(`DEALLOCATE "of all"`)]
    ] as const) {
      test(`prepared anew when it was deallocated ${name}`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server)
          yield* makeFunctions(pg)
          yield* pg.query(named("SELECT $1::int AS n"), [1])
          yield* end(pg)
          expect((yield* pg.query(named("SELECT $1::int AS n"), [2])).rows).toEqual([{ n: 2 }])
          expect(yield* generation(pg)).toBe(1)
        }))
    }

    // The server keeps 63 bytes of a name.
    for (const name of ["n".repeat(70), `a${"ü".repeat(35)}`]) {
      test(`kept through the turns of others, also by the name ${name}`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server)
          const query = { name, text: "SELECT $1::int AS n" }
          yield* pg.query(query, [1])
          yield* withClient(pg, (client) => client.query("SET work_mem = '1MB'"))
          expect((yield* pg.query(query, [2])).rows).toEqual([{ n: 2 }])
          expect(yield* generation(pg)).toBe(1)
        }))
    }

    test("refused by a name of which the server would keep a part of a letter", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const query = { name: "ü".repeat(35), text: "SELECT 1" }
        const refused = [pg.query(query), withClient(pg, (client) => client.query(query))]
        for (const ask of refused) {
          expect((yield* Effect.flip(ask)).message).toContain("end within a letter")
          const set = withClient(pg, (client) => client.query("SET work_mem = '1MB'; SHOW work_mem"))
          expect(yield* Effect.exit(set)).toMatchObject({ _tag: "Success" })
        }
        expect(yield* generation(pg)).toBe(1)
      }))

    test("prepared anew when its table has changed", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* pg.query("CREATE TABLE altered (a int)")
        yield* pg.query(named("SELECT * FROM altered"))
        yield* pg.query("ALTER TABLE altered ADD b int")
        yield* pg.query("INSERT INTO altered VALUES (1, 2)")
        for (const _ of [1, 2]) {
          expect((yield* pg.query(named("SELECT * FROM altered"))).rows).toEqual([{ a: 1, b: 2 }])
        }
        expect(yield* Effect.flip(pg.query(named("SELECT 2")))).toMatchObject({ _tag: "PgError", reason: "Other" })
      }))
  })

  describe("whose server waits for a caller who has left is lost", () => {
    for (const [name, begin] of [
      [
        "in the middle of a cursor",
        (connection: Connection) => {
          call(connection, "parse", { text: "SELECT generate_series(1, 100)" })
          call(connection, "bind", { values: [] })
          call(connection, "execute", { rows: 1 })
          call(connection, "flush")
        }
      ],
      ["in the middle of COPY", (connection: Connection) => call(connection, "query", "COPY copied FROM STDIN")]
    ] as const) {
      test(name, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, { heartbeat: false })
          yield* pg.query("CREATE TABLE copied (n int)")
          const exit = yield* Effect.exit(
            withClient(pg, async (client) => {
              client.query(unending(begin))
            })
          )
          expect(Exit.isFailure(exit)).toBe(true)
          expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
          expect(yield* generation(pg)).toBe(2)
          yield* pg.query("DROP TABLE copied")
        })
      )
    }
  })

  test("goes on after what can't be asked, or can't be read", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const cycle: Record<string, unknown> = {}
      cycle["itself"] = cycle
      const fail = () => {
        throw new Error("not today")
      }
      const failWithNothing = () => {
        throw undefined
      }
      const values: ReadonlyArray<unknown> = [
        { n: 1n },
        cycle,
        { toJSON: fail },
        Object.defineProperty({}, "n", { get: fail, enumerable: true })
      ]
      const requests: Array<readonly [unknown, ReadonlyArray<unknown>?]> = values.flatMap((value) => [
        ["SELECT $1::text, $2::text", ["x".repeat(10_000), value]] as const,
        [{ name: "named", text: "SELECT $1::text, $2::text" }, ["x".repeat(10_000), value]] as const
      ])
      requests.push(
        ...[fail, failWithNothing].flatMap((failing) => [
          [{ text: "SELECT 1 AS n", types: { getTypeParser: failing } }] as const,
          [{ text: "SELECT 1 AS n", types: { getTypeParser: () => failing } }] as const
        ]),
        [{ text: "SELECT 1", types: {} }],
        [{ name: "a number", text: 5 }],
        [{ name: 5, text: "SELECT 1" }],
        [{ name: "nothing" }],
        [{ text: "SELECT $1::int", portal: 5 }, [1]],
        [{ text: "SELECT $1::int", rows: -1 }, [1]],
        [{ text: "SELECT $1::int", rows: 0x80000000 }, [1]],
        [{ text: "SELECT $1::int", rows: 2 ** 32 }, [1]],
        [{ text: "SELECT $1::int", query_timeout: Number.NaN }, [1]],
        [undefined],
        [5]
      )
      for (const [request, given] of requests) {
        const query = pg.query as (query: unknown, values?: ReadonlyArray<unknown>) => ReturnType<typeof pg.query>
        for (const ask of [
          query(request, given),
          withClient(pg, (client) => (client.query as (...args: Array<unknown>) => Promise<unknown>)(request, given))
        ]) {
          const exit = yield* Effect.exit<unknown, unknown, never>(ask)
          expect([request, exit._tag]).toEqual([request, "Failure"])
          expect((yield* pg.query("SELECT $1::text AS n", [""])).rows).toEqual([{ n: "" }])
        }
      }
      expect(yield* generation(pg)).toBe(1)
    }))

  test("goes on after what submits itself and can't be told that it has ended", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      // The server sends what it has when it gives a notice.
      const text = "SELECT 1; DO $$ BEGIN RAISE NOTICE 'half'; PERFORM pg_sleep(0.05); END $$"
      const ask = (ends: object) =>
        withClient(pg, (client) => {
          return new Promise<string>((resolve, reject) => {
            const submitted = {
              ...unending((connection) => call(connection, "query", text)),
              handleError: reject,
              handleDataRow: () => resolve("read"),
              ...ends
            }
            void client.query(submitted)
          })
        })
      const throws = () => {
        throw new Error("not today")
      }
      expect(yield* ask({ handleReadyForQuery: throws })).toBe("read")
      expect(yield* Effect.flip(ask({ handleReadyForQuery: undefined }))).toMatchObject({
        _tag: "PgError",
        detail: "What submits itself must have a method handleReadyForQuery"
      })
      yield* pg.query("SELECT 1")
      expect(yield* generation(pg)).toBe(1)
    }))

  test("keeps what one caller asks with out of what another does", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const query = Object.freeze({ text: "SELECT $1::text AS n" })
      expect((yield* pg.query(query, ["secret"])).rows).toEqual([{ n: "secret" }])
      expect(yield* Effect.flip(pg.query(query))).toMatchObject({ code: "42P02" })
      const shared = { text: "SELECT $1::text AS n" }
      yield* pg.query(shared, ["secret"])
      expect(shared).toEqual({ text: "SELECT $1::text AS n" })
    }))

  test("is lost by what the server ends it for, whatever code that has, which the caller is told", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const lost = yield* Effect.flip(
        withClient(pg, async (client) => {
          client.connection.stream.write(Buffer.from([0x7a, 0, 0, 0, 4]))
          await client.query("SELECT 1")
        })
      )
      expect(lost).toMatchObject({ _tag: "ConnectionLost", cause: { reason: "Terminated", code: "08P01" } })
      // What the server told another is nothing to this one.
      const other = { severity: "FATAL", code: "28P01" }
      const failed = yield* Effect.flip(
        withClient(pg, () => Promise.reject(Object.assign(new DatabaseError("no", 2, "error"), other)))
      )
      expect(failed).toMatchObject({ _tag: "PgError", reason: "Authentication" })
      expect(yield* generation(pg)).toBe(2)
    }))

  test("goes on after what the protocol does not take", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE limits (n text)")
      const parameters = (count: number) => Array.from({ length: count }, (_, index) => index)
      const ints = (count: number) => `SELECT ${parameters(count).map((n) => `$${n + 1}::int`)[count - 1]} AS n`
      expect((yield* pg.query("SELECT $1 = ANY($2) AS is_there", [1, parameters(100_000)])).rowCount).toBe(1)
      for (const [text, values] of [
        ["SELECT 'a\0b'", undefined],
        ["SELECT $1::text", ["a\0b"]],
        ["SELECT $1::int", parameters(65_536)],
        ["SELECT $1::int", parameters(65_537)],
        ["SELECT $1::int", parameters(131_072)],
        [ints(65_536), parameters(65_536)],
        [
          "SELECT $1::text",
          [
            {
              toPostgres: () => {
                throw new Error("not today")
              }
            }
          ]
        ],
        ["COPY limits FROM STDIN", undefined],
        ["SELECT $1::int", []],
        ["SELECT 1; SELECT 2", [1]]
      ] as const) {
        const exit = yield* Effect.exit(pg.query(text, values))
        expect([text, values?.length, exit._tag]).toEqual([text, values?.length, "Failure"])
        expect((yield* pg.query("SELECT $1::text AS n", [""])).rows).toEqual([{ n: "" }])
      }
      expect((yield* pg.query("")).rows).toEqual([])
      expect(yield* generation(pg)).toBe(1)
    }))
})
