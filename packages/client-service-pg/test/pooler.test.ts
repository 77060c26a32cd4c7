import { describe, expect } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { PgEndpoint } from "effect-client-service-pg"
import * as pgbouncer from "test-servers/pgbouncer"
import { hear, isPayload, start } from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

const installed = await pgbouncer.install()
if (!installed.isInstalled) console.warn(`Skipped: listening through a pooler: ${installed.reason}`)

const poolerOf = (server: Parameters<typeof pgbouncer.make>[1], mode: "session" | "transaction") =>
  installed.isInstalled ? pgbouncer.make(installed.paths, server, mode) : Effect.dieMessage(installed.reason)

describeWithServer("through a pooler", (test) => {
  describe.skipIf(!installed.isInstalled)("listening", () => {
    test("fails where it is not heard, also after a restart, and statements do not", (server) =>
      Effect.gen(function* () {
        const pooler = yield* poolerOf(server, "transaction")
        const pg = yield* start(pooler)
        for (const _ of [1, 2]) {
          const refused = yield* Effect.flip(Stream.runDrain(pg.listen("jobs")))
          expect(refused).toMatchObject({ _tag: "PgError", reason: "NotHeard" })
          expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
          const listening = yield* Effect.fork(Effect.flip(Stream.runDrain(pg.listen("jobs"))))
          yield* pooler.kill
          yield* pooler.start
          yield* listening.await
        }
        expect((yield* pg.query("SELECT 1 AS one", [], { maxWait: "5 seconds" })).rows).toEqual([{ one: 1 }])
      }))

    test("goes on where a pooler lends a session", (server) =>
      Effect.gen(function* () {
        const pooler = yield* poolerOf(server, "session")
        const pg = yield* start(pooler)
        const heard = yield* hear(pg, "jobs")
        const other = yield* start(server)
        yield* other.query("NOTIFY jobs, 'hello'")
        yield* heard.until(isPayload("hello"))
      }))

    test("logs in with the password that an Effect gives, in the place of the one of the URL", (server) =>
      Effect.gen(function* () {
        const pooler = yield* poolerOf(server, "session")
        const url = pooler.url.replace(encodeURIComponent(pooler.password), "outdated")
        const endpoint = PgEndpoint.make({ url, password: Effect.succeed(pooler.password) })
        yield* hear(yield* start(pooler, { endpoint }), "jobs")
      }))
  })
})
