import { spawn } from "node:child_process"
import { once } from "node:events"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, Schedule } from "effect"
import { PgEndpoint, PgService } from "effect-client-service-pg"
import * as postgres from "test-servers/postgres"
import { after } from "../coming-from/pg/after.js"
import { before } from "../coming-from/pg/before.js"
import { oneServer } from "./oneServer.js"
import { run } from "./program.js"

const installed = await postgres.install()
if (!installed.isInstalled) console.warn(`Skipped: pg.ts, for want of PostgreSQL: ${installed.reason}`)

const startServer = oneServer(
  installed.isInstalled ? postgres.make(installed.paths) : Effect.dieMessage(installed.reason)
)

describe.skipIf(!installed.isInstalled)("pg.ts", () => {
  it.scopedLive("hears of jobs, tells of a gap, and ends; with a wrong password at once, and does not tell that", () =>
    Effect.gen(function* () {
      const server = yield* startServer
      const pg = yield* PgService.make({ endpoint: PgEndpoint.make({ url: server.url }) }).pipe(
        Logger.withMinimumLogLevel(LogLevel.None)
      )
      yield* pg.query("CREATE TABLE jobs (id int)")
      const program = yield* run("pg.ts", [], { DATABASE_URL: server.url, PGAPPNAME: "example" })
      yield* program.stdout.until("0 jobs")
      yield* pg.query("NOTIFY jobs, 'first'")
      yield* program.stdout.until("job: first")
      yield* pg.query(`
        WITH lost AS (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'example')
        INSERT INTO jobs SELECT 1 FROM lost`)
      yield* program.stdout.until("1 jobs")
      yield* pg.query("NOTIFY jobs, 'stop'")
      expect(yield* program.ended).toBe(0)
      expect(program.stderr.text()).toBe("")

      const refused = yield* run("pg.ts", [], { DATABASE_URL: server.url.replace(/:[^:@]+@/, ":wrong-secret@") })
      expect(yield* refused.ended).toBe(1)
      const said = refused.stdout.text() + refused.stderr.text()
      expect(said).toContain("the server does not accept this login (28P01)")
      expect(said).not.toContain("wrong-secret")
    })
  )
})

describe.skipIf(!installed.isInstalled)("coming from pg", () => {
  it.scopedLive("a client of pg that nobody listens to for errors ends the program with its connection", () =>
    Effect.gen(function* () {
      const server = yield* startServer
      const direct = yield* PgService.make({ endpoint: PgEndpoint.make({ url: server.url }) })
      const script = `
        import pg from "pg"
        const client = new pg.Client(process.argv[1])
        await client.connect()
        setTimeout(() => {}, 60_000)
      `
      const child = spawn(
        process.execPath,
        ["--input-type=module", "-e", script, `${server.url}?application_name=alone`],
        { cwd: new URL("..", import.meta.url), stdio: "ignore" }
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill()))
      const ended = Effect.promise(() => once(child, "exit"))
      const terminate = direct.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'alone'"
      )
      const exit = yield* Effect.raceFirst(ended, Effect.forever(Effect.zipRight(terminate, Effect.sleep("20 millis"))))
      expect(exit).toEqual([1, null])
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scopedLive("a listener of pg is deaf after a loss, and that of PgService tells of a gap and goes on", () =>
    Effect.gen(function* () {
      const server = yield* startServer
      const direct = yield* PgService.make({ endpoint: PgEndpoint.make({ url: server.url }) })
      yield* direct.query("CREATE TABLE IF NOT EXISTS jobs (id int)")
      const until = <A, E>(effect: Effect.Effect<A, E>, done: (value: A) => boolean) =>
        Effect.repeat(effect, { until: done, schedule: Schedule.spaced("5 millis") })
      const terminate = (name: string) =>
        direct.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", [name])

      const heardBefore: Array<string> = []
      const theirs = yield* Effect.acquireRelease(
        Effect.promise(() => before(`${server.url}?application_name=before`, (job) => heardBefore.push(job))),
        ({ close }) => Effect.promise(close)
      )
      const heardAfter: Array<string> = []
      const ours = yield* after(`${server.url}?application_name=after`, (job) => heardAfter.push(job))
      yield* until(direct.query("NOTIFY jobs, 'early'"), () => heardBefore.length > 0 && heardAfter.length > 0)
      expect(yield* Effect.promise(theirs.count)).toBe(yield* ours.count)

      yield* terminate("before")
      yield* terminate("after")
      yield* until(direct.query("NOTIFY jobs, 'late'"), () => heardAfter.includes("late"))
      expect([...new Set(heardAfter)]).toEqual(["early", "may have missed some", "late"])
      // The pool has another connection, once it has noticed. What listened has none.
      const count = Effect.retry(Effect.tryPromise(theirs.count), Schedule.spaced("5 millis"))
      expect(yield* count).toBe(yield* ours.count)
      expect(heardBefore).not.toContain("late")
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
