import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { expect } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { PgError, type PgService } from "effect-client-service-pg"
import { errorOf, start, stateOf } from "./support/pg.js"
import { describeWithServer, type Server } from "./support/server.js"

/** Prepares the server for all refusals at once. */
const prepared = (server: Server) =>
  Effect.gen(function* () {
    const admin = yield* start(server)
    for (const statement of [
      "CREATE ROLE guest LOGIN PASSWORD 'guest'",
      "CREATE ROLE full_role LOGIN PASSWORD 'guest' CONNECTION LIMIT 0",
      "CREATE ROLE nologin PASSWORD 'guest'",
      "CREATE ROLE expired LOGIN PASSWORD 'guest' VALID UNTIL '2000-01-01'",
      "CREATE ROLE rejected LOGIN PASSWORD 'guest'",
      "CREATE DATABASE closed ALLOW_CONNECTIONS false",
      "CREATE DATABASE full_database CONNECTION LIMIT 0",
      "CREATE DATABASE private",
      "REVOKE CONNECT ON DATABASE private FROM PUBLIC"
    ]) {
      yield* Effect.catchIf(
        admin.query(statement),
        (error) => "code" in error && /^42(710|P04)$/.test(error.code ?? ""),
        () => Effect.void
      )
    }
    const { rows } = yield* admin.query<{ readonly hba_file: string }>("SHOW hba_file")
    const file = rows[0]?.hba_file ?? ""
    const text = readFileSync(file, "utf8")
    if (!text.includes("rejected")) writeFileSync(file, `host all rejected 127.0.0.1/32 reject\n${text}`)
    yield* admin.query("SELECT pg_reload_conf()")
    return admin
  })

/** Says what a server says when it ends a connection: to whoever logs in, to who has and asks, or at once to who has. */
const startPeer = (code: string, isLoggedIn: boolean, isUnasked = false): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      const message = (type: string, body: string) => {
        const head = Buffer.alloc(5)
        head.write(type)
        head.writeInt32BE(Buffer.byteLength(body, "latin1") + 4, 1)
        return Buffer.concat([head, Buffer.from(body, "latin1")])
      }
      const refusal = message("E", `SFATAL\0VFATAL\0C${code}\0Mas this code is\0\0`)
      const welcome = [message("R", "\0\0\0\0"), message("K", "\0\0\0\x01\0\0\0\x02"), message("Z", "I")]
      const server = createServer((socket) => {
        sockets.add(socket)
        let turn = 0
        socket
          .on("error", () => {})
          .on("data", () => {
            turn += 1
            if (isLoggedIn && isUnasked) socket.end(Buffer.concat([...welcome, refusal]))
            else if (isLoggedIn && turn === 1) socket.write(Buffer.concat(welcome))
            else socket.end(refusal)
          })
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      return { server, sockets, port: (server.address() as AddressInfo).port }
    }),
    ({ server, sockets }) =>
      Effect.promise(async () => {
        for (const socket of sockets) socket.destroy()
        await once(server.close(), "close")
      })
  ).pipe(Effect.map(({ port }) => port))

describeWithServer("an attempt that the server refuses", (test) => {
  const guest = { user: "guest", password: "guest" }
  for (const [what, connection, code, reason, isFatal] of [
    ["a user that there is not", { user: "nobody" }, "28P01", "Authentication", true],
    ["a wrong password", { password: "wrong" }, "28P01", "Authentication", true],
    ["a password that has expired", { ...guest, user: "expired" }, "28P01", "Authentication", true],
    ["a role that may not log in", { ...guest, user: "nologin" }, "28000", "Authentication", true],
    ["one that pg_hba.conf rejects", { ...guest, user: "rejected" }, "28000", "Authentication", true],
    ["a database that there is not", { database: "nowhere" }, "3D000", "NoDatabase", true],
    ["a database that takes no connections", { database: "closed" }, "55000", "Query", false],
    ["a user who may not connect to it", { ...guest, database: "private" }, "42501", "Query", false],
    ["a role with as many as it may have", { ...guest, user: "full_role" }, "53300", "Unavailable", false],
    ["a database with as many as it may have", { ...guest, database: "full_database" }, "53300", "Unavailable", false],
    ["a setting that there is not", { options: "-c nothing=1" }, "42704", "Query", false]
  ] as const) {
    test(`for ${what} (${code}) is ${isFatal ? "final" : "tried again"}`, (server) =>
      Effect.gen(function* () {
        yield* prepared(server)
        const error = yield* errorOf(yield* start(server, { connection }))
        expect([error, PgError.isFatal(error)]).toMatchObject([{ _tag: "PgError", code, reason }, isFatal])
      }))
  }

  test("since it has as many connections as it may have (53300) is tried again", (server) =>
    Effect.gen(function* () {
      const services: Array<PgService.Service> = []
      for (let i = 0; i < 31; i++) services.push(yield* start(server))
      const states = yield* Effect.forEach(services, ({ service }) =>
        Effect.either(service.whenConnected({ failAfterFailures: 1 }))
      )
      const refused = states.flatMap((state) => (state._tag === "Left" ? [state.left] : []))
      expect(refused.length).toBeGreaterThan(0)
      for (const error of refused) expect(error).toMatchObject({ code: "53300", reason: "Unavailable" })
      expect(refused.some(PgError.isFatal)).toBe(false)
    }))

  for (const [code, reason] of [
    ["57P03", "Unavailable"],
    ["57P01", "Terminated"],
    ["57P02", "Terminated"],
    ["57P05", "Terminated"],
    ["08P01", "Query"],
    ["0A000", "Query"],
    ["53200", "Query"],
    ["58000", "Query"],
    ["XX000", "Query"]
  ] as const) {
    test(`by ${code} is tried again (said by a peer that speaks the protocol)`, (server) =>
      Effect.gen(function* () {
        const port = yield* startPeer(code, false)
        const error = yield* errorOf(yield* start({ ...server, port }))
        expect([error, PgError.isFatal(error)]).toMatchObject([{ code, reason }, false])
      }))
  }
})

describeWithServer("a connection that the server ends", (test) => {
  for (const [what, code, end] of [
    ["by an administrator", "57P01", "SELECT pg_terminate_backend(pg_backend_pid())"],
    ["since it is idle", "57P05", "SET idle_session_timeout = 20"],
    ["since it is idle in a transaction", "25P03", "BEGIN; SET idle_in_transaction_session_timeout = 20"]
  ] as const) {
    test(`${what} (${code}) is lost, and is back`, (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: false })
        yield* pg.service.whenConnected()
        const lost = yield* Effect.fork(stateOf(pg, "Waiting"))
        yield* Effect.yieldNow()
        // In one turn, at the end of which there would be an end of it.
        yield* Effect.fork(
          pg.service.use((connection) =>
            connection.withClient(async (client) => {
              await client.query(end)
              await new Promise(() => {})
            })
          )
        )
        const { cause } = yield* lost
        expect(cause).toMatchObject({ _tag: "Fail", error: { reason: "Terminated", code } })
        expect((yield* pg.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }])
      }))
  }

  test("with its database (57P01) is lost, and the policy ends since that is gone", (server) =>
    Effect.gen(function* () {
      const admin = yield* start(server)
      yield* admin.query("CREATE DATABASE dropped")
      const pg = yield* start(server, {
        connection: { database: "dropped" },
        retryPolicy: { while: (error) => !PgError.isFatal(error) }
      })
      yield* pg.query("SELECT 1")
      yield* admin.query("DROP DATABASE dropped WITH (FORCE)")
      const ended = yield* Effect.flip(
        Effect.repeat(pg.query("SELECT 1").pipe(Effect.catchTag("ConnectionLost", () => Effect.void)), { times: 100 })
      )
      expect(ended).toMatchObject({ _tag: "RetriesExhausted" })
    }))

  for (const code of ["57P02", "57P04", "25P04", "40001", "XX000"]) {
    test(`by ${code} is lost (said by a peer that speaks the protocol)`, (server) =>
      Effect.gen(function* () {
        const port = yield* startPeer(code, true)
        const pg = yield* start({ ...server, port }, { heartbeat: false })
        const lost = yield* Effect.flip(pg.query("SELECT 1"))
        expect(lost).toMatchObject({ _tag: "ConnectionLost", cause: { reason: "Terminated", code } })
      }))

    test(`by ${code} while nothing is asked is lost (said by a peer that speaks the protocol)`, (server) =>
      Effect.gen(function* () {
        const port = yield* startPeer(code, true, true)
        const error = yield* errorOf(yield* start({ ...server, port }, { heartbeat: false }))
        expect(error).toMatchObject({ reason: "Terminated", code })
      }))
  }
})

describeWithServer("a statement that the server refuses", (test) => {
  test("has the connection go on, by whatever code, also one that ends others", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      yield* pg.query("CREATE TABLE refused (n int PRIMARY KEY); INSERT INTO refused VALUES (1)")
      for (const [statement, code] of [
        ["SET statement_timeout = 20; SELECT pg_sleep(1)", "57014"],
        ["BEGIN READ ONLY; INSERT INTO refused VALUES (2)", "25006"],
        ["BEGIN; SELECT 1/0; SELECT 1", "22012"],
        ["INSERT INTO refused VALUES (1)", "23505"],
        ["SELECT currval('nothing')", "42P01"],
        ["CREATE SEQUENCE IF NOT EXISTS not_yet; SELECT currval('not_yet')", "55000"],
        ["SELECT 'x'::int", "22P02"],
        ["SELECT FROM nothing", "42P01"],
        ["NOTHING", "42601"],
        ["SELECT pg_catalog.pg_read_file('/nothing')", "58P01"],
        ...[
          "28000",
          "28P01",
          "3D000",
          "53300",
          "57P01",
          "57P02",
          "57P03",
          "57P04",
          "57P05",
          "25P03",
          "25P04",
          "08006",
          "40001",
          "XX000"
        ].map((code) => [`DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END $$`, code] as const)
      ] as const) {
        const error = yield* Effect.flip(Effect.asVoid(pg.query(statement)))
        expect([statement, error]).toMatchObject([statement, { _tag: "PgError", reason: "Query", code }])
        expect((yield* pg.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }])
      }
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    }))
})
