import { Socket } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Scope, Stream, TestClock } from "effect"
import { TestEndpoint } from "effect-client-service"
import { type PgConnection, PgError, PgService } from "effect-client-service-pg"
import type { Client } from "pg"
import { turns } from "test-servers/turns"
import { hear, isGap, isPayload, start } from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

const withClient = <A>(pg: PgService.Service, f: (client: Client) => PromiseLike<A>) =>
  pg.service.use((connection) => connection.withClient(f))

/** How many statements the server runs that match a pattern. */
const running = (by: PgService.Service, pattern: string) =>
  Effect.map(
    by.query("SELECT FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE $1", [
      pattern
    ]),
    ({ rowCount }) => Number(rowCount)
  )

const untilRunning = (by: PgService.Service, pattern: string, count: number) =>
  Effect.repeat(running(by, pattern), { until: (n) => n === count })

const generation = (pg: PgService.Service) => pg.service.state.get

describeWithServer("a turn", (test) => {
  test("is waited for by no more than may, and by what the service asks for itself", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { connection: { maxWaiting: 2 }, heartbeat: false })
      const isOver = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const first = yield* Effect.fork(
        withClient(pg, () => {
          Deferred.unsafeDone(begun, Effect.void)
          return Effect.runPromise(Deferred.await(isOver))
        })
      )
      yield* Deferred.await(begun)
      const waiting = yield* Effect.forEach([1, 2], (n) => Effect.fork(pg.query(`SELECT ${n} AS n`)))
      yield* turns(3)
      expect(yield* Effect.flip(pg.query("SELECT 3"))).toMatchObject({ _tag: "PgError", reason: "Overloaded" })
      const listening = yield* Effect.fork(Stream.runHead(pg.listen("waiting", { subscribed: () => "listening" })))
      yield* turns(3)
      expect(yield* Effect.flip(withClient(pg, async () => {}))).toMatchObject({ reason: "Overloaded" })
      yield* Deferred.succeed(isOver, undefined)
      yield* Fiber.join(first)
      expect((yield* Fiber.joinAll(waiting)).map(({ rows }) => rows)).toEqual([[{ n: 1 }], [{ n: 2 }]])
      expect(yield* Fiber.join(listening)).toMatchObject({ value: "listening" })
      expect(yield* generation(pg)).toMatchObject({ generation: 1 })
    }))

  test("is taken by who listens no more only if nobody else listens to that", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { connection: { maxWaiting: 1 } })
      yield* hear(pg, "shared")
      const first = yield* Scope.make()
      yield* Scope.extend(hear(pg, "shared"), first)
      const running = yield* Effect.fork(pg.query("SELECT pg_sleep(600)"))
      yield* turns(3)
      yield* Scope.close(first, Exit.void)
      const next = yield* Effect.fork(pg.query("SELECT 1 AS one"))
      yield* turns(3)
      yield* Fiber.interrupt(running)
      expect((yield* Fiber.join(next)).rows).toEqual([{ one: 1 }])
    }))

  test("ends what is listened to, at whichever time who listens leaves", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* hear(pg, "kept")
      for (let count = 0; count < 12; count++) {
        const listening = yield* Effect.fork(Stream.runDrain(pg.listen(`left_${count}`)))
        yield* turns(count)
        yield* Fiber.interrupt(listening)
        // What is left to end comes in the turn after that which began.
        yield* pg.query("SELECT 1")
        const { rows } = yield* pg.query("SELECT pg_listening_channels() AS channel")
        expect(rows).toEqual([{ channel: "kept" }])
      }
    }))

  describe("that leaves a transaction open", () => {
    for (const [name, leave, told] of [
      [
        "by its failure",
        async (client: Client) => {
          await client.query("BEGIN")
          await client.query("INSERT INTO left_open VALUES (1)")
          throw new Error("forgot to roll back")
        },
        { reason: "Other", cause: { message: "forgot to roll back" } }
      ],
      [
        "by an error of a statement",
        async (client: Client) => {
          await client.query("BEGIN")
          await client.query("INSERT INTO left_open VALUES (1)")
          await client.query("SELECT 1 / 0")
        },
        { reason: "Query", code: "22012" }
      ],
      [
        "in one text that fails",
        (client: Client) => client.query("BEGIN; INSERT INTO left_open VALUES (1); SELECT 1 / 0"),
        { reason: "Query", code: "22012" }
      ],
      [
        "though it succeeds",
        async (client: Client) => {
          await client.query("BEGIN")
          await client.query("INSERT INTO left_open VALUES (1)")
        },
        { reason: "OpenTransaction" }
      ],
      [
        "without waiting for the answer",
        (client: Client) => {
          void client.query("BEGIN")
          void client.query("INSERT INTO left_open VALUES (1)")
          return Promise.resolve()
        },
        { reason: "OpenTransaction" }
      ],
      [
        "by a chain",
        async (client: Client) => {
          await client.query("BEGIN")
          await client.query("ROLLBACK AND CHAIN")
          await client.query("INSERT INTO left_open VALUES (1)")
        },
        { reason: "OpenTransaction" }
      ]
    ] as const) {
      test(`${name} has it rolled back, and what others do is kept`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server)
          const other = yield* start(server)
          yield* pg.query("CREATE TABLE left_open (n int)")
          const leaving = yield* Effect.fork(Effect.flip(withClient<unknown>(pg, leave)))
          const next = yield* Effect.fork(pg.query("INSERT INTO left_open VALUES (2)"))
          expect(yield* Fiber.join(leaving)).toMatchObject({ _tag: "PgError", ...told })
          yield* Fiber.join(next)
          expect((yield* other.query("SELECT n FROM left_open")).rows).toEqual([{ n: 2 }])
          expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
          yield* pg.query("DROP TABLE left_open")
        }))
    }

    test("by a statement alone is told so", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const refused = yield* Effect.flip(pg.query("BEGIN"))
        expect(refused).toMatchObject({ _tag: "PgError", reason: "OpenTransaction" })
        expect(refused.message).toContain("a transaction was left open, and is rolled back")
        yield* pg.query("CREATE TABLE kept (n int)")
        const other = yield* start(server)
        yield* other.query("DROP TABLE kept")
      }))

    test("and can't be rolled back loses the connection", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* withClient(pg, async (client) => {
          await client.query("BEGIN")
          Object.assign(client, {
            getTransactionStatus: () => "T"
          })
        }).pipe(Effect.flip)
        expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
        expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
      }))
  })

  describe("that is interrupted", () => {
    test("has its statement cancelled, and the next goes on at once", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server)
        const sleeping = yield* Effect.fork(pg.query("SELECT pg_sleep(600), 'statement'"))
        yield* untilRunning(admin, "%pg_sleep(600), 'statement'%", 1)
        yield* Fiber.interrupt(sleeping)
        expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
        expect(yield* running(admin, "%pg_sleep(600), 'statement'%")).toBe(0)
        expect(yield* generation(pg)).toMatchObject({ _tag: "Connected", generation: 1 })
      }))

    test("has its transaction rolled back, and its client does nothing more", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server)
        yield* pg.query("CREATE TABLE interrupted (n int)")
        const later = yield* Deferred.make<unknown>()
        const transaction = yield* Effect.fork(
          withClient(pg, async (client) => {
            await client.query("BEGIN")
            await client.query("INSERT INTO interrupted VALUES (1)")
            await client.query("SELECT pg_sleep(600), 'transaction'").catch(() => {})
            const end = client.query("COMMIT").catch((error) => String(error))
            Effect.runSync(Deferred.succeed(later, await end))
          })
        )
        yield* untilRunning(admin, "%pg_sleep(600), 'transaction'%", 1)
        yield* Fiber.interrupt(transaction)
        yield* pg.query("INSERT INTO interrupted VALUES (2)")
        expect(yield* Deferred.await(later)).toContain("The turn of this caller is over")
        expect((yield* admin.query("SELECT n FROM interrupted")).rows).toEqual([{ n: 2 }])
        yield* pg.query("DROP TABLE interrupted")
      }))

    test("has all its statements cancelled, also those that it does not wait for", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server)
        const both = yield* Effect.fork(
          withClient(pg, (client) =>
            Promise.all([
              client.query("SELECT pg_sleep(600), 'first of both'"),
              client.query("SELECT pg_sleep(600), 'second of both'")
            ])
          )
        )
        yield* untilRunning(admin, "%of both%", 1)
        yield* Fiber.interrupt(both)
        expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
        expect(yield* generation(pg)).toMatchObject({ _tag: "Connected", generation: 1 })
      }))

    test("while it does something else gives its turn away", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const isInside = yield* Deferred.make<void>()
        const waiting = yield* Effect.fork(
          withClient(pg, async (client) => {
            await client.query("BEGIN")
            Effect.runSync(Deferred.succeed(isInside, undefined))
            await new Promise(() => {})
          })
        )
        yield* Deferred.await(isInside)
        yield* Fiber.interrupt(waiting)
        expect((yield* pg.query("SELECT now() = statement_timestamp() AS alone")).rows).toEqual([{ alone: true }])
      }))

    test("before a paused server has got its statement has that cancelled when the server goes on", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: { interval: "1 minute", timeout: "1 minute" } })
        yield* pg.query("SELECT 1")
        yield* server.pause
        const sleeping = yield* Effect.fork(pg.query("SELECT pg_sleep(600), 'paused'"))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(sleeping)
        const next = yield* Effect.fork(pg.query("SELECT 1 AS one"))
        yield* server.resume
        expect((yield* Fiber.join(next)).rows).toEqual([{ one: 1 }])
        expect(yield* generation(pg)).toMatchObject({ _tag: "Connected", generation: 1 })
      }))

    test("by the service's end has its statement cancelled", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server)
        const sleeping = yield* Effect.fork(Effect.flip(pg.query("SELECT pg_sleep(600), 'stopped'")))
        yield* untilRunning(admin, "%pg_sleep(600), 'stopped'%", 1)
        yield* pg.service.stop
        yield* Fiber.join(sleeping)
        yield* untilRunning(admin, "%pg_sleep(600), 'stopped'%", 0)
      }))
  })

  describe("that changes the session has that undone", () => {
    for (const [change, look] of [
      ["SET search_path = nowhere", "SELECT current_setting('search_path')"],
      ["SET my.greeting = 'changed'; SET statement_timeout = 100000", "SELECT current_setting('statement_timeout')"],
      ["SELECT set_config('work_mem', '2MB', false)", "SELECT current_setting('work_mem')"],
      ["DO $$ BEGIN SET work_mem = '2MB'; CREATE TEMP TABLE mine (); END $$", "SELECT to_regclass('mine')"],
      [
        "INSERT INTO of_all SELECT WHERE set_config('work_mem', '2MB', false) IS NULL",
        "SELECT current_setting('work_mem')"
      ],
      ["RESET work_mem", "SELECT current_setting('work_mem')"],
      ["SET work_mem = '2MB'", "SELECT current_setting('work_mem')"],
      ["SET ROLE pg_monitor", "SELECT current_user::text"],
      [
        "SET SESSION AUTHORIZATION pg_monitor; SET TimeZone = 'Asia/Tokyo'",
        "SELECT session_user, current_setting('TimeZone')"
      ],
      ["CREATE TEMP TABLE mine (n serial)", "SELECT to_regclass('mine') AS mine, to_regclass('of_all') AS of_all"],
      ["CREATE TEMP TABLE mine AS SELECT 1 AS n", "SELECT to_regclass('mine')"],
      ["CREATE TEMP VIEW mine AS SELECT 1 AS n", "SELECT to_regclass('mine')"],
      ["CREATE TEMP SEQUENCE mine", "SELECT to_regclass('mine')"],
      ["PREPARE mine AS SELECT 1", "SELECT name FROM pg_prepared_statements"],
      ["DECLARE mine CURSOR WITH HOLD FOR SELECT 1", "SELECT name FROM pg_cursors WHERE is_holdable"],
      [
        "CREATE TEMP TABLE mine (); DROP TABLE mine",
        "SELECT to_regclass('mine') AS mine, to_regclass('of_all') AS of_all"
      ]
    ] as const) {
      test(`as ${change}`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, {
            prepare: (connection) =>
              connection.withClient(async (client) => {
                await client.query("SET work_mem = '1MB'")
                await client.query("CREATE TEMP TABLE of_all ()")
              })
          })
          const before = yield* pg.query(look)
          yield* withClient(pg, (client) => client.query(change))
          expect((yield* pg.query(look)).rows).toEqual(before.rows)
          expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
          expect((yield* pg.query("SELECT current_setting('work_mem') AS mem")).rows).toEqual([{ mem: "1MB" }])
        }))
    }

    for (const change of ["DISCARD ALL", "UNLISTEN *", "DEALLOCATE ALL", "DISCARD TEMP", "DROP TABLE of_all"]) {
      test(`by the loss of the connection, as ${change}`, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server, { prepare: (connection) => connection.query("CREATE TEMP TABLE of_all ()") })
          const heard = yield* hear(pg, "spent")
          yield* Effect.exit(withClient(pg, (client) => client.query(change)))
          yield* heard.until(isGap("Reconnected"))
          yield* pg.query("NOTIFY spent, 'still there'")
          yield* heard.until(isPayload("still there"))
          yield* pg.query("SELECT FROM of_all")
          expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
        }))
    }
  })

  test("of a client is over when its promise has settled", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const client = yield* withClient(pg, (client) => Promise.resolve(client))
      const refused = yield* Effect.promise(() => client.query("SELECT 1").catch((error) => String(error)))
      expect(refused).toContain("The turn of this caller is over")
      const called = yield* Effect.async<unknown>((resume) =>
        client.query("SELECT 1", [], (error) => resume(Effect.succeed(error)))
      )
      expect(String(called)).toContain("The turn of this caller is over")
    }))

  test("does not end the client, which others have next", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const ends: ReadonlyArray<(client: Client) => Promise<void>> = [
        (client) => client.end(),
        (client) => new Promise((resolve, reject) => client.end((error) => (error ? reject(error) : resolve())))
      ]
      for (const end of ends) {
        const [refused, next] = yield* Effect.all([Effect.flip(withClient(pg, end)), pg.query("SELECT 1 AS one")], {
          concurrency: "unbounded"
        })
        expect(refused.message).toContain("not for one caller to end")
        expect(next.rows).toEqual([{ one: 1 }])
      }
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    }))
})

describeWithServer("a heartbeat", (test) => {
  const heartbeat = { interval: "20 millis", timeout: "600 millis" } as const

  test("loses no statement that takes longer, nor those who wait for their turn", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { heartbeat })
      const asked = ["SELECT pg_sleep(2)", "SELECT pg_sleep(0)"].map((statement) => pg.query(statement))
      yield* Effect.all(asked, { concurrency: "unbounded" })
      expect(yield* generation(pg)).toMatchObject({ _tag: "Connected", generation: 1 })
    }))

  test("loses no answer that comes by and by", (server) =>
    Effect.gen(function* () {
      // Beside it no other can be made, so that nobody else tells what the server does.
      let isUp = false
      const stream = () => {
        const socket = new Socket()
        if (isUp) return socket.destroy()
        return socket.on("data", () => {
          socket.pause()
          setTimeout(() => socket.resume(), 20)
        })
      }
      const pg = yield* start(server, { heartbeat, connection: { stream } })
      yield* pg.service.whenConnected()
      isUp = true
      const { rows } = yield* pg.query<{ readonly text: string }>("SELECT repeat('x', 4000000) AS text")
      expect(rows[0]?.text.length).toBe(4_000_000)
      expect(yield* generation(pg)).toMatchObject({ _tag: "Connected", generation: 1 })
    }))

  test("loses a statement whose server hangs", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { heartbeat })
      const admin = yield* start(server, { heartbeat: false })
      const asked = yield* Effect.fork(Effect.flip(pg.query("SELECT pg_sleep(600)")))
      yield* untilRunning(admin, "%pg_sleep(600)%", 1)
      yield* server.pause
      expect(yield* Fiber.join(asked)).toMatchObject({ _tag: "ConnectionLost", cause: { _tag: "HeartbeatTimeout" } })
      yield* server.resume
    }))

  test("loses a turn that asks nothing", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { heartbeat })
      const error = yield* Effect.flip(withClient(pg, () => new Promise<never>(() => {})))
      expect(error).toMatchObject({ _tag: "ConnectionLost", cause: { _tag: "HeartbeatTimeout" } })
    }))
})

describe("the heartbeat", () => {
  it.scoped("takes a refusal for a sign of life", () =>
    Effect.gen(function* () {
      const { accept, endpoint } = yield* TestEndpoint.make<PgConnection.PgConnection, PgError.PgError>()
      const asked = yield* Queue.unbounded<void>()
      const refusing = {
        query: () =>
          Effect.zipRight(
            Queue.offer(asked, undefined),
            Effect.fail(new PgError.PgError({ reason: "Query", endpoint: "here", code: "57014" }))
          ),
        onNotification: () => {},
        prepared: () => {},
        listening: new Set(),
        lastHeard: () => undefined,
        watchStatement: () => Effect.never
      }
      const pg = yield* PgService.make({ endpoint })
      // @ts-expect-error: all that the service asks of it.
      yield* accept(refusing)
      for (let probe = 0; probe < 3; probe++) {
        yield* TestClock.adjust("15 seconds")
        yield* Queue.take(asked)
      }
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )
})
