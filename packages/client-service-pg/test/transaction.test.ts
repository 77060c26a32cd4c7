import { describe, expect } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Runtime } from "effect"
import { start } from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

describeWithServer("a transaction", (test) => {
  test("is seen as a whole by others when it is committed, and holds up nobody", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE whole (n int)")
      const count = Effect.map(pg.query("SELECT FROM whole"), ({ rowCount }) => rowCount)
      const isInside = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const running = yield* Effect.fork(
        pg.transaction(({ query }) =>
          Effect.gen(function* () {
            yield* query("INSERT INTO whole VALUES (1)")
            yield* query("INSERT INTO whole VALUES ($1)", [2])
            yield* Deferred.succeed(isInside, undefined)
            yield* Deferred.await(goOn)
            return (yield* query<{ readonly n: number }>("SELECT n FROM whole ORDER BY n")).rows
          })
        )
      )
      yield* Deferred.await(isInside)
      expect(yield* count).toBe(0)
      yield* Deferred.succeed(goOn, undefined)
      expect(yield* Fiber.join(running)).toEqual([{ n: 1 }, { n: 2 }])
      expect(yield* count).toBe(2)
    }))

  describe("is rolled back", () => {
    for (const [name, end] of [
      ["when it fails", Effect.fail("enough")],
      ["when it dies", Effect.die("enough")],
      ["when it is interrupted", Effect.interrupt]
    ] as const) {
      test(name, (server) =>
        Effect.gen(function* () {
          const pg = yield* start(server)
          yield* pg.query("CREATE TABLE undone (n int)")
          const exit = yield* Effect.exit(
            pg.transaction(({ query }) => Effect.zipRight(query("INSERT INTO undone VALUES (1)"), end))
          )
          expect(exit._tag).toBe("Failure")
          expect((yield* pg.query("SELECT FROM undone")).rowCount).toBe(0)
          // Nothing of it is left that holds a lock.
          yield* pg.query("DROP TABLE undone")
        })
      )
    }

    test("and says so when it goes on after a statement that has failed", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* pg.query("CREATE TABLE ignored (n int)")
        const refused = yield* Effect.flip(
          pg.transaction(({ query }) =>
            Effect.zipRight(query("INSERT INTO ignored VALUES (1)"), Effect.ignore(query("SELECT 1 / 0")))
          )
        )
        expect(refused).toMatchObject({ _tag: "PgError", reason: "RolledBack" })
        expect((yield* pg.query("SELECT FROM ignored")).rowCount).toBe(0)
      }))
  })

  test("keeps what it did before a savepoint that fails or is interrupted, within others too", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE parts (n int)")
      yield* pg.transaction(({ query, savepoint }) =>
        Effect.gen(function* () {
          const insert = (n: number) => query("INSERT INTO parts VALUES ($1)", [n])
          yield* insert(1)
          yield* Effect.ignore(savepoint(Effect.zipRight(insert(2), query("SELECT 1 / 0"))))
          yield* savepoint(
            Effect.gen(function* () {
              yield* insert(3)
              yield* Effect.exit(savepoint(Effect.zipRight(insert(4), Effect.fail("inner"))))
              const sleeping = savepoint(Effect.zipRight(insert(5), query("SELECT pg_sleep(600)")))
              yield* Effect.ignore(Effect.timeout(sleeping, "100 millis"))
            })
          )
          yield* insert(6)
        })
      )
      expect((yield* pg.query("SELECT n FROM parts ORDER BY n")).rows).toEqual([{ n: 1 }, { n: 3 }, { n: 6 }])
    }))

  test("has savepoints that are asked for at once take turns, so that none undoes another", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE beside (n int)")
      yield* pg.transaction(({ query, savepoint }) => {
        const insert = (n: number) => query("INSERT INTO beside VALUES ($1)", [n])
        const fails = savepoint(Effect.zipRight(query("SELECT pg_sleep(0.02)"), Effect.fail("undone")))
        const within = Effect.all([savepoint(insert(2)), savepoint(insert(3))], { concurrency: "unbounded" })
        return Effect.all([Effect.ignore(fails), savepoint(insert(1)), savepoint(within)], { concurrency: "unbounded" })
      })
      expect((yield* pg.query("SELECT n FROM beside ORDER BY n")).rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    }))

  for (const [how, end] of [
    ["was released", Effect.void],
    ["was undone", Effect.fail("undone")]
  ] as const) {
    test(`has nothing run in another part of it by who has outlived a savepoint that ${how}`, (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* pg.query("DROP TABLE IF EXISTS outlived; CREATE TABLE outlived (n int)")
        yield* pg.transaction(({ query, savepoint }) =>
          Effect.gen(function* () {
            const insert = (n: number) => query("INSERT INTO outlived VALUES ($1)", [n])
            const hasEnded = yield* Effect.makeLatch()
            const isInside = yield* Effect.makeLatch()
            const outlives = (effect: Effect.Effect<unknown, unknown>) =>
              Effect.flip(Effect.asVoid(hasEnded.whenOpen(effect)))
            const all = yield* Deferred.make<ReadonlyArray<Fiber.RuntimeFiber<unknown, unknown>>>()
            const first = savepoint(
              Effect.gen(function* () {
                const inner = savepoint(Effect.zipRight(isInside.open, outlives(insert(1))))
                const fibers = [
                  yield* Effect.forkDaemon(outlives(insert(2))),
                  yield* Effect.forkScoped(outlives(savepoint(insert(3)))),
                  Runtime.runFork(yield* Effect.runtime())(outlives(insert(4))),
                  // Its own part is open still, though what that is within has ended.
                  yield* Effect.forkDaemon(Effect.flip(inner))
                ]
                yield* isInside.await
                yield* insert(5)
                return yield* Effect.zipRight(Deferred.succeed(all, fibers), end)
              })
            )
            yield* Effect.ignore(first)
            yield* savepoint(
              Effect.gen(function* () {
                yield* hasEnded.open
                // Who joins them is in the part that it was in.
                const refusals = yield* Fiber.joinAll(yield* Deferred.await(all))
                expect(refusals).toEqual(refusals.map(() => expect.objectContaining({ reason: "EndedTransaction" })))
                yield* insert(6)
              })
            )
            yield* insert(7)
          })
        )
        const { rows } = yield* pg.query<{ readonly n: number }>("SELECT n FROM outlived ORDER BY n")
        expect(rows.map(({ n }) => n)).toEqual(how === "was released" ? [5, 6, 7] : [6, 7])
      }))
  }

  test("has what is run by itself within a savepoint beside that, and by the runtime of it in it", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE apart (n int)")
      yield* pg.transaction(({ query, savepoint }) =>
        Effect.gen(function* () {
          const insert = (n: number) => query("INSERT INTO apart VALUES ($1)", [n])
          const fiber = yield* savepoint(
            Effect.gen(function* () {
              const runtime = yield* Effect.runtime()
              yield* Effect.promise(() => Runtime.runPromise(runtime)(savepoint(insert(1))))
              yield* Effect.promise(() => Effect.runPromise(insert(2)))
              // It waits for the end of what it is run in.
              return Effect.runFork(savepoint(insert(3)))
            })
          )
          yield* Fiber.join(fiber)
          const undone = Effect.zipRight(
            Effect.promise(() => Effect.runPromise(insert(4))),
            Effect.fail("undone")
          )
          yield* Effect.ignore(savepoint(undone))
        })
      )
      const { rows } = yield* pg.query<{ readonly n: number }>("SELECT n FROM apart ORDER BY n")
      expect(rows.map(({ n }) => n)).toEqual([1, 2, 3])
    }))

  test("ends, as its savepoints do, however many of its statements wait", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { connection: { maxWaiting: 1 } })
      yield* pg.query("CREATE TABLE crowded (n int)")
      yield* pg.transaction(({ query, savepoint }) => {
        const crowd = Effect.gen(function* () {
          for (const n of [1, 2]) yield* Effect.forkDaemon(Effect.exit(query(`SELECT ${n}`)))
          // Not for so long that one of them is answered.
          yield* Effect.repeatN(Effect.yieldNow(), 5)
          expect(yield* Effect.flip(query("SELECT 3"))).toMatchObject({ reason: "Overloaded" })
        })
        const fails = savepoint(
          Effect.zipRight(query("INSERT INTO crowded VALUES (1)"), Effect.zipRight(crowd, Effect.fail("undone")))
        )
        return Effect.zipRight(Effect.flip(fails), crowd)
      })
      expect((yield* pg.query("SELECT FROM crowded")).rowCount).toBe(0)
    }))

  test("undoes a savepoint of which a statement fails that still waits as its Effect ends, and says so", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE hasty (n int)")
      const refused = yield* pg.transaction(({ query, savepoint }) =>
        Effect.gen(function* () {
          const fails = Effect.forkDaemon(Effect.ignore(query("SELECT 1 / 0")))
          const refused = yield* Effect.flip(savepoint(Effect.zipRight(fails, Effect.yieldNow())))
          yield* query("INSERT INTO hasty VALUES (1)")
          return refused
        })
      )
      expect(refused).toMatchObject({ _tag: "PgError", reason: "RolledBack" })
      expect((yield* pg.query("SELECT FROM hasty")).rowCount).toBe(1)
    }))

  test("undoes a savepoint that goes on after a statement that has failed, and says so", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE swallowed (n int)")
      const refused = yield* pg.transaction(({ query, savepoint }) =>
        Effect.gen(function* () {
          const insert = (n: number) => query("INSERT INTO swallowed VALUES ($1)", [n])
          yield* insert(1)
          const refused = yield* Effect.flip(
            savepoint(Effect.zipRight(insert(2), Effect.ignore(query("SELECT 1 / 0"))))
          )
          yield* insert(3)
          return refused
        })
      )
      expect(refused).toMatchObject({ _tag: "PgError", reason: "RolledBack" })
      expect((yield* pg.query("SELECT n FROM swallowed ORDER BY n")).rows).toEqual([{ n: 1 }, { n: 3 }])
    }))

  for (const end of [
    "COMMIT",
    "rollback /* all */",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "abort transaction and chain",
    "ROLLBACK; BEGIN",
    "ROLLBACK; START TRANSACTION",
    "COMMIT; BEGIN; SELECT 1 / 0",
    "SELECT 1; COMMIT; BEGIN",
    "COMMIT; SELECT 1 / 0"
  ]) {
    test(`has nothing run outside of it once a statement has ended it: ${end}`, (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* pg.query("DROP TABLE IF EXISTS outside; CREATE TABLE outside (n int)")
        const ended = { _tag: "PgError", reason: "EndedTransaction" }
        const refused = yield* Effect.flip(
          pg.transaction(({ query, savepoint }) =>
            Effect.gen(function* () {
              const refused = yield* Effect.flip(query(end))
              expect(refused).toMatchObject(end.includes("1 / 0") ? { code: "22012" } : ended)
              expect(yield* Effect.flip(query("INSERT INTO outside VALUES (1)"))).toMatchObject(ended)
              expect(yield* Effect.flip(savepoint(query("INSERT INTO outside VALUES (2)")))).toMatchObject(ended)
            })
          )
        )
        expect(refused).toMatchObject(ended)
        expect((yield* pg.query("SELECT FROM outside")).rowCount).toBe(0)
      }))
  }

  test("has nothing run outside of it that was asked for beside, or before, what ends it", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("DROP TABLE IF EXISTS beside; CREATE TABLE beside (n int)")
      const ended = { _tag: "PgError", reason: "EndedTransaction" }
      for (const end of ["COMMIT", "ROLLBACK"]) {
        const both = pg.transaction(({ query }) =>
          Effect.all([Effect.exit(query(end)), Effect.flip(query("INSERT INTO beside VALUES (1)"))], {
            concurrency: "unbounded"
          })
        )
        expect(yield* Effect.flip(both)).toMatchObject(ended)
      }
      const late = yield* Effect.flatten(
        pg.transaction(({ query }) =>
          Effect.gen(function* () {
            yield* Effect.forkDaemon(query("SELECT pg_sleep(0.1)"))
            yield* Effect.yieldNow()
            const asked = yield* Effect.makeLatch()
            const commits = Effect.zipRight(asked.await, query("INSERT INTO beside VALUES (2)"))
            const late = yield* Effect.forkDaemon(Effect.exit(commits))
            yield* Effect.forkDaemon(Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 20), asked.open))
            return Fiber.join(late)
          })
        )
      )
      expect(Exit.isFailure(late)).toBe(true)
      expect((yield* pg.query("SELECT FROM beside")).rowCount).toBe(0)
    }))

  test("is isolated as it is told, and prepared as all connections are", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { prepare: (connection) => connection.query("SET my.greeting = 'hello'") })
      const modes = pg.transaction(
        ({ query }) =>
          Effect.map(
            query(
              `SELECT current_setting('transaction_isolation') AS isolation, current_setting('my.greeting') AS greeting,
                current_setting('transaction_read_only') AS "readOnly"`
            ),
            ({ rows }) => rows
          ),
        { isolation: "serializable", readOnly: true, maxWait: "1 minute" }
      )
      expect(yield* modes).toEqual([{ isolation: "serializable", greeting: "hello", readOnly: "on" }])
    }))

  test("fails with ConnectionLost when its connection is ended, or the server killed, and nothing of it is left", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE killed (n int)")
      const begin = Effect.gen(function* () {
        const process = yield* Deferred.make<unknown>()
        const running = yield* Effect.fork(
          pg.transaction(({ query }) =>
            Effect.gen(function* () {
              yield* query("INSERT INTO killed VALUES (1)")
              const { rows } = yield* query("SELECT pg_backend_pid() AS pid")
              yield* Deferred.succeed(process, rows[0]?.["pid"])
              return yield* Effect.never
            })
          )
        )
        return { running, process: yield* Deferred.await(process) }
      })
      const first = yield* begin
      yield* pg.query("SELECT pg_terminate_backend($1)", [first.process])
      expect(yield* Effect.flip(Fiber.join(first.running))).toMatchObject({
        _tag: "ConnectionLost",
        cause: { reason: "Terminated" }
      })
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      const second = yield* begin
      yield* server.kill
      expect(yield* Effect.flip(Fiber.join(second.running))).toMatchObject({ _tag: "ConnectionLost" })
      yield* server.start
      expect((yield* pg.query("SELECT FROM killed")).rowCount).toBe(0)
    }))

  test("is one of no more than maxSessions at a time; the others wait, no longer than they say", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { maxSessions: 2, name: "of another name" })
      const endpoint = `postgres://127.0.0.1:${server.port}/postgres`
      const begun = yield* Queue.unbounded<number>()
      const transactions = yield* Effect.forEach([0, 1, 2, 3, 4], (index) =>
        Effect.fork(pg.transaction(() => Effect.zipRight(Queue.offer(begun, index), Effect.never)))
      )
      expect((yield* Queue.takeN(begun, 2)).length).toBe(2)
      for (const maxWait of [0, "20 millis"] as const) {
        const late = yield* Effect.flip(pg.transaction(() => Effect.void, { maxWait }))
        expect(late).toMatchObject({ reason: "Overloaded", endpoint, detail: "maxSessions are under way" })
      }
      const { rows } = yield* pg.query("SELECT FROM pg_stat_activity WHERE state = 'idle in transaction'")
      expect(rows.length).toBe(2)
      // One that waits leaves nothing behind.
      for (const index of [2, 0, 1]) {
        const one = transactions[index]
        if (one !== undefined) yield* Fiber.interrupt(one)
      }
      expect([...(yield* Queue.takeN(begun, 2))].sort()).toEqual([3, 4])
      yield* Fiber.interruptAll(transactions)
      const free = yield* pg.transaction(({ query }) => query("SELECT 1 AS one"), { maxWait: "5 seconds" })
      expect(free.rows).toEqual([{ one: 1 }])
    }))

  test("waits for another to end with no more than maxWaiting", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { maxSessions: 1, connection: { maxWaiting: 1 } })
      const isInside = yield* Effect.makeLatch()
      const running = yield* Effect.fork(pg.transaction(() => Effect.zipRight(isInside.open, Effect.never)))
      yield* isInside.await
      const waiting = yield* Effect.fork(pg.transaction(({ query }) => query("SELECT 1")))
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      const one = yield* Effect.flip(pg.transaction(() => Effect.void))
      expect(one).toMatchObject({ reason: "Overloaded", detail: "maxWaiting wait for a transaction" })
      yield* Fiber.interrupt(running)
      yield* Fiber.join(waiting)
    }))

  test("that waits for another to end hears of a stop when it begins, though the other one goes on", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { maxSessions: 1, drainTimeout: "1 minute" })
      const [isInside, end] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const first = yield* Effect.fork(
        pg.transaction(() => Effect.zipRight(Deferred.succeed(isInside, undefined), Deferred.await(end)))
      )
      yield* Deferred.await(isInside)
      const second = yield* Effect.fork(pg.transaction(() => Effect.void))
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      const stopping = yield* Effect.fork(pg.service.stop)
      expect(yield* Effect.flip(Fiber.join(second))).toMatchObject({ _tag: "ServiceStopped" })
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(first)
      yield* Fiber.join(stopping)
    }))

  test("ends with the service", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const isInside = yield* Deferred.make<void>()
      const running = yield* Effect.fork(
        pg.transaction(() => Effect.zipRight(Deferred.succeed(isInside, undefined), Effect.never))
      )
      yield* Deferred.await(isInside)
      yield* pg.service.stop
      expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ _tag: "ConnectionLost" })
    }))
})
