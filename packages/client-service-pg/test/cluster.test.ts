import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Logger, LogLevel, type Scope } from "effect"
import { EndpointsFailed, RetryPolicy } from "effect-client-service"
import { PgEndpoint, PgError, PgService } from "effect-client-service-pg"
import { errorOf, hear, isGap, isPayload, start, stateOf } from "./support/pg.js"
import { describeWithServer, makeServer, type Server } from "./support/server.js"

const connect = (
  options: PgEndpoint.ClusterOptions,
  retryPolicy: PgService.Options["retryPolicy"] = RetryPolicy.fromFunction(() => 20)
): Effect.Effect<PgService.Service, never, Scope.Scope> =>
  PgService.make({
    endpoint: PgEndpoint.cluster({ linger: 500, ...options }),
    retryPolicy
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

/** The port of the server that it is connected to, or will be. */
const portOf = (pg: PgService.Service) =>
  pg.query<{ readonly port: string }>("SELECT current_setting('port') AS port").pipe(
    Effect.retry({ while: ({ _tag }) => _tag === "ConnectionLost" }),
    Effect.map(({ rows: [row] }) => Number(row?.port))
  )

const loginOf = ({ database, password, user }: Server) => ({ database, password, user })

describeWithServer("several servers", (test) => {
  test("are tried in order for the one of the kind that is asked for, and tried again when that is lost", (primary) =>
    Effect.gen(function* () {
      const standby = yield* makeServer({ isStandby: true })
      const hosts = [standby, primary].map(({ host, port }) => ({ host, port }))
      const to = (targetSessionAttrs: PgEndpoint.SessionAttributes | undefined) =>
        connect({ ...loginOf(primary), hosts, targetSessionAttrs })
      for (const attributes of ["primary", "read-write"] as const) {
        expect([attributes, yield* portOf(yield* to(attributes))]).toEqual([attributes, primary.port])
      }
      for (const attributes of [undefined, "any", "standby", "read-only", "prefer-standby"] as const) {
        expect([attributes, yield* portOf(yield* to(attributes))]).toEqual([attributes, standby.port])
      }

      const second = yield* makeServer({ isStandby: true })
      const pg = yield* connect({
        url: `postgres://postgres@127.0.0.1:${standby.port},127.0.0.1:${second.port}/postgres?target_session_attrs=standby`,
        password: primary.password
      })
      expect(yield* portOf(pg)).toBe(standby.port)
      yield* standby.kill
      expect(yield* portOf(pg)).toBe(second.port)
    }))

  test("have a standby taken over from a primary that is killed, once it is promoted", () =>
    Effect.gen(function* () {
      const primary = yield* makeServer()
      const standby = yield* makeServer({ isStandby: true })
      const hosts = [primary, standby].map(({ host, port }) => ({ host, port }))
      const pg = yield* connect({ ...loginOf(primary), hosts, targetSessionAttrs: "primary" })
      expect(yield* portOf(pg)).toBe(primary.port)
      yield* primary.kill
      const { cause } = yield* stateOf(pg, "Waiting")
      expect(Cause.pretty(cause)).not.toContain(primary.password)
      const admin = yield* start(standby)
      yield* admin.query("SELECT pg_promote()")
      expect(yield* portOf(pg)).toBe(standby.port)
    }))

  test("have a standby that refuses to listen take statements, and listen once it is promoted", () =>
    Effect.gen(function* () {
      const primary = yield* makeServer()
      const standby = yield* makeServer({ isStandby: true })
      const hosts = [primary, standby].map(({ host, port }) => ({ host, port }))
      const pg = yield* connect({ ...loginOf(primary), hosts })
      const before = yield* hear(pg, "before")
      yield* primary.kill
      expect(yield* portOf(pg)).toBe(standby.port)
      const told: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => told.push(`${logLevel.label} ${message}`))
      const logged = Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      const beginning = yield* Effect.fork(logged(hear(pg, "after")))
      const refused = yield* Effect.flip(pg.query("LISTEN refused"))
      expect(refused).toMatchObject({ reason: "Query", code: "25006" })
      expect(before.events).toEqual([{ _tag: "Gap", reason: "Started" }])
      const admin = yield* start(standby)
      yield* admin.query("SELECT pg_promote()")
      const after = yield* Fiber.join(beginning)
      expect(told[0]).toMatch(/^WARN listening to after: .*25006/)
      yield* before.until(isGap("Reconnected"))
      for (const [channel, heard] of [
        ["before", before],
        ["after", after]
      ] as const) {
        yield* admin.query(`NOTIFY ${channel}, 'promoted'`)
        yield* heard.until(isPayload("promoted"))
      }
      expect(after.events.filter(({ _tag }) => _tag === "Gap")).toEqual([{ _tag: "Gap", reason: "Started" }])
    }))

  test("have another taken over from one that writes no more, though its connection stays up", () =>
    Effect.gen(function* () {
      const former = yield* makeServer()
      const other = yield* makeServer()
      const hosts = [former, other].map(({ host, port }) => ({ host, port }))
      const pg = yield* connect({ ...loginOf(former), hosts, targetSessionAttrs: "read-write" })
      expect(yield* portOf(pg)).toBe(former.port)
      // Who has a transaction that reads alone has not lost the server by it.
      const write = "CREATE TABLE written ()"
      const refused = yield* Effect.flip(pg.transaction((own) => own.query(write), { readOnly: true }))
      expect(refused).toMatchObject({ reason: "Query", code: "25006" })
      yield* pg.query("SELECT 1")
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })

      const admin = yield* start(former)
      yield* admin.query("ALTER SYSTEM SET default_transaction_read_only = on")
      yield* admin.query("SELECT pg_reload_conf()")
      yield* Effect.repeat(
        pg.query<{ readonly setting: string }>("SELECT current_setting('default_transaction_read_only') AS setting"),
        { until: ({ rows: [row] }) => row?.setting === "on" }
      )
      expect(yield* Effect.flip(pg.query(write))).toMatchObject({ reason: "Query", code: "25006" })
      yield* stateOf(pg, "Waiting")
      expect(yield* portOf(pg)).toBe(other.port)
      yield* pg.query(write)
    }))

  test("tell why each did not do, and are final only if each is", (primary) =>
    Effect.gen(function* () {
      const { host, port } = primary
      const standby = yield* errorOf(yield* start(primary, { connection: { targetSessionAttrs: "standby" } }))
      expect(standby).toMatchObject({ reason: "SessionAttributes", endpoint: `postgres://127.0.0.1:${port}/postgres` })
      expect(PgError.isFatal(standby)).toBe(false)

      const wrong = { ...loginOf(primary), password: "wrong" }
      for (const [other, expected] of [
        [port, [false, true]],
        [1, [false, false, false, false]]
      ] as const) {
        const isFatal: Array<boolean> = []
        const pg = yield* connect(
          {
            ...wrong,
            hosts: [
              { host, port },
              { host, port: other }
            ]
          },
          {
            schedule: RetryPolicy.fromFunction(() => 20),
            while: (error) => isFatal.push(PgError.isFatal(error)) < 4 && !PgError.isFatal(error)
          }
        )
        const { cause } = yield* stateOf(pg, "Exhausted")
        expect(Cause.squash(cause)).toBeInstanceOf(EndpointsFailed.EndpointsFailed)
        expect(isFatal).toEqual(expected)
      }
    }))
})

describe("PgEndpoint.cluster", () => {
  it("refuses what makes no sense", () => {
    expect(() => PgEndpoint.cluster({ hosts: [] })).toThrow("PgEndpoint.cluster: hosts must be one host at least")
    expect(() => PgEndpoint.cluster({ hosts: ["a"], url: "postgres://b" })).toThrow("PgEndpoint.cluster: hosts must be")
    expect(() => PgEndpoint.cluster({ hosts: ["a", "b\0.evil.example"] })).toThrow("PgEndpoint.cluster: host must be")
    expect(() => PgEndpoint.cluster({ url: "postgres://a,b?target_session_attrs=leader" })).toThrow(
      "PgEndpoint.cluster: url: target_session_attrs must be one of any, read-write"
    )
  })

  it("has a name that tells of each host, and not how to log in", () => {
    const { name } = PgEndpoint.cluster({ url: "postgres://me:secret@a.example,b.example:6543/app?sslmode=disable" })
    expect(name).toContain("postgres://a.example:5432/app")
    expect(name).toContain("postgres://b.example:6543/app")
    expect(name).not.toContain("secret")
  })
})
