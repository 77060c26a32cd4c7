import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel } from "effect"
import { PgEndpoint, PgService } from "effect-client-service-pg"
import * as postgres from "test-servers/postgres"
import { run } from "./program.js"

const installed = await postgres.install()
if (!installed.isInstalled) console.warn(`Skipped: pg.ts, for want of PostgreSQL: ${installed.reason}`)

describe.skipIf(!installed.isInstalled)("pg.ts", () => {
  it.scopedLive("hears of jobs, tells of a gap, and ends; with a wrong password at once, and does not tell that", () =>
    Effect.gen(function* () {
      const server = yield* installed.isInstalled ? postgres.make(installed.paths) : Effect.dieMessage(installed.reason)
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
