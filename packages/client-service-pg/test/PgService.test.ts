import { inspect } from "node:util"
import { describe, expect } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Logger,
  LogLevel,
  Option,
  Redacted,
  Stream
} from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { PgEndpoint, PgError, PgService } from "effect-client-service-pg"
import { turns } from "test-servers/turns"
import { makeAuthority } from "../../client-service-node/test/support/certificates.js"
import {
  endpointOf,
  errorOf,
  gaps,
  hear,
  isGap,
  isPayload,
  processOf,
  start,
  stateOf,
  unaccounted
} from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length

const notify = (pg: PgService.Service, channel: string, payload: string | number) =>
  pg.query("SELECT pg_notify($1, $2)", [channel, String(payload)])

const terminate = (by: PgService.Service, pg: PgService.Service) =>
  Effect.flatMap(processOf(pg), (process) => by.query("SELECT pg_terminate_backend($1)", [process]))

const listeningTo = (pg: PgService.Service) =>
  Effect.map(pg.query<{ readonly channel: string }>("SELECT pg_listening_channels() AS channel"), ({ rows }) =>
    rows.map(({ channel }) => channel)
  )

/** How many connections the server has of an application. */
const connectionsOf = (by: PgService.Service, application: string) =>
  Effect.map(by.query("SELECT FROM pg_stat_activity WHERE application_name = $1", [application]), ({ rowCount }) =>
    Number(rowCount)
  )

/** Inserts numbers one after the other, each with a notification, and never one twice. */
const insertInto = (pg: PgService.Service, table: string) =>
  Effect.gen(function* () {
    yield* pg.query(`CREATE TABLE ${table} (n int)`)
    const acknowledged: Array<number> = []
    const unknown: Array<number> = []
    let number = 0
    const insert = Effect.suspend(() => {
      const n = number++
      return pg
        .query(`WITH new AS (INSERT INTO ${table} VALUES ($1) RETURNING n) SELECT pg_notify($2, n::text) FROM new`, [
          n,
          table
        ])
        .pipe(
          Effect.as(acknowledged),
          Effect.catchTag("ConnectionLost", () => Effect.succeed(unknown)),
          Effect.map((fate) => fate.push(n))
        )
    })
    return {
      acknowledged,
      unknown,
      /** Goes on until there are so many more acknowledged ones. */
      insertMore: (more: number) =>
        Effect.suspend(() => {
          const goal = acknowledged.length + more
          return Effect.repeat(insert, { until: () => acknowledged.length >= goal })
        })
    }
  })

describeWithServer("PgService", (test) => {
  describe("the connection", () => {
    test("waits for a server that is down at start, and is there when the server is", (server) =>
      Effect.gen(function* () {
        yield* server.stop
        const pg = yield* start(server)
        const asking = yield* Effect.fork(pg.query("SELECT 6 * 7 AS answer"))
        expect(yield* errorOf(pg)).toMatchObject({
          _tag: "PgError",
          reason: "Refused",
          code: "ECONNREFUSED",
          endpoint: `postgres://127.0.0.1:${server.port}/postgres`
        })
        yield* server.start
        expect((yield* Fiber.join(asking)).rows).toEqual([{ answer: 42 }])
      }))

    test("is waited for no longer than maxWait, which does not bound the statement", (server) =>
      Effect.gen(function* () {
        yield* server.stop
        const pg = yield* start(server)
        for (const maxWait of [0, "20 millis"] as const) {
          expect(yield* Effect.flip(pg.query("SELECT 1", [], { maxWait }))).toMatchObject({
            _tag: "NotConnected",
            service: pg.service.name,
            state: { _tag: expect.stringMatching("Connecting|Waiting") }
          })
        }
        const patient = yield* Effect.fork(pg.query("SELECT 1 AS n", undefined, { maxWait: "1 hour" }))
        yield* server.start
        expect((yield* Fiber.join(patient)).rows).toEqual([{ n: 1 }])
        const slow = pg.query("SELECT pg_sleep(0.1), 2 AS n", [], { maxWait: 0 })
        expect((yield* slow).rows).toMatchObject([{ n: 2 }])
        expect(() => pg.query("SELECT 1", [], { maxWait: -1 })).toThrow("maxWait must be")
      }))

    test("loses no acknowledged insert and runs none twice, and tells of every gap, when the server is killed", (server) =>
      Effect.gen(function* () {
        const writer = yield* start(server)
        const reader = yield* start(server)
        const ledger = yield* insertInto(writer, "ledger")
        const heard = yield* hear(reader, "ledger")
        yield* ledger.insertMore(50)
        const load = yield* Effect.fork(Effect.forever(ledger.insertMore(1)))
        yield* heard.until(isPayload("70"))
        const noticing = yield* Effect.fork(errorOf(reader))
        yield* server.kill
        expect(yield* Fiber.join(noticing)).toMatchObject({ _tag: "PgError", reason: "Reset" })
        yield* server.start
        yield* heard.until(isGap("Reconnected"))
        yield* Fiber.interrupt(load)
        yield* ledger.insertMore(50)
        yield* notify(writer, "ledger", "end")
        yield* heard.until(isPayload("end"))

        const { acknowledged, unknown } = ledger
        const { rows } = yield* writer.query<{ readonly n: number }>("SELECT n FROM ledger ORDER BY n")
        const stored = rows.map(({ n }) => n)
        expect(stored).toEqual([...new Set(stored)])
        expect(acknowledged.filter((n) => !stored.includes(n))).toEqual([])
        // The one whose insert was interrupted is neither.
        expect(stored.filter((n) => !acknowledged.includes(n) && !unknown.includes(n)).length).toBeLessThanOrEqual(1)
        expect(unaccounted(acknowledged, heard.events)).toEqual({ untold: [], twice: [] })
      }))

    test("is lost to a server that is paused past the heartbeat, and is back when the server goes on", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: { interval: 50, timeout: 1000 } })
        const heard = yield* hear(pg, "paused")
        const noticing = yield* Effect.fork(errorOf(pg))
        yield* server.pause
        expect(yield* Fiber.join(noticing)).toBeInstanceOf(ClientService.HeartbeatTimeout)
        yield* server.resume
        yield* heard.until(isGap("Reconnected"))
        yield* notify(pg, "paused", "on again")
        yield* heard.until(isPayload("on again"))
      }))

    test("is told by the server that an administrator ended it, also in the middle of a statement", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server)
        yield* pg.service.whenConnected()
        const noticing = yield* Effect.fork(errorOf(pg))
        yield* terminate(admin, pg)
        const error = yield* Fiber.join(noticing)
        expect(error).toBeInstanceOf(PgError.PgError)
        expect(error).toMatchObject({ reason: "Terminated", code: "57P01" })

        yield* stateOf(pg, "Connected")
        const sleeping = yield* Effect.fork(Effect.flip(pg.query("SELECT pg_sleep(600)")))
        yield* admin
          .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
          .pipe(Effect.repeat({ until: ({ rowCount }) => rowCount === 1 }))
        expect(yield* Fiber.join(sleeping)).toMatchObject({
          _tag: "ConnectionLost",
          cause: { reason: "Terminated", code: "57P01" }
        })
      }))

    test("is told by the server that it shuts down, and is back when it has started again", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* pg.service.whenConnected()
        const noticing = yield* Effect.fork(errorOf(pg))
        yield* server.stop
        expect(yield* Fiber.join(noticing)).toMatchObject({ reason: "Terminated", code: "57P01" })
        yield* server.start
        expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
      }))

    test("is not tried again with a wrong password, if the policy says so, and the password is nowhere", (server) =>
      Effect.gen(function* () {
        const told: Array<unknown> = []
        const logger = Logger.replace(
          Logger.defaultLogger,
          Logger.make((entry) => told.push(inspect(entry, { depth: 20 })))
        )
        const secret = "wrong-and-secret"
        const pg = yield* PgService.make({
          endpoint: endpointOf(server, {
            password: undefined,
            url: `postgres://${server.user}:${secret}@127.0.0.1:${server.port}/${server.database}`
          }),
          retryPolicy: RetryPolicy.fromFunction(() => 20).pipe(
            RetryPolicy.whileError((error) => !PgError.isFatal(error))
          )
        }).pipe(Effect.provide(logger))
        const error = yield* Effect.flip(pg.service.whenConnected())
        expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
        const cause = Option.getOrThrow(
          error._tag === "RetriesExhausted" ? Cause.failureOption(error.cause) : Option.none()
        )
        expect(cause).toMatchObject({ _tag: "PgError", reason: "Authentication", code: "28P01" })
        expect(told.length).toBeGreaterThan(0)
        for (const shown of [error, cause, pg.service, yield* pg.service.state.get]) {
          told.push(inspect(shown, { depth: 20 }), String(shown), JSON.stringify(shown))
        }
        expect(told.filter((text) => String(text).includes(secret))).toEqual([])
      }))

    test("takes ssl=false of a URL for no TLS, and a database of its query", (server) =>
      Effect.gen(function* () {
        const { database, password, port, user } = server
        const login = `postgres://${user}:${password}@`
        for (const url of [
          `${login}127.0.0.1:${port}?ssl=false&database=${database}`,
          `${login}/?host=127.0.0.1&port=${port}&ssl=false&database=${database}`
        ]) {
          const pg = yield* PgService.make({ endpoint: PgEndpoint.make({ url }) })
          const { rows } = yield* pg.query<{ readonly name: string }>("SELECT current_database() AS name")
          expect(rows).toEqual([{ name: database }])
        }
      }))

    test("is tried again with a wrong password otherwise, until it is right", (server) =>
      Effect.gen(function* () {
        const passwords = ["wrong", "wrong too", server.password]
        const pg = yield* start(server, { connection: { password: Effect.sync(() => passwords.shift() ?? "spent") } })
        const connection = yield* pg.service.whenConnected()
        expect(passwords).toEqual([])
        expect(yield* pg.service.state.get).toMatchObject({ generation: 1 })
        const shown = inspect([connection, yield* pg.service.state.get], { depth: 20, showHidden: true })
        expect(shown).not.toContain(server.password)
      }))

    test("is tried again while an Effect has no password, or an old one, under a policy that ends", (server) =>
      Effect.gen(function* () {
        const told: Array<unknown> = []
        const passwords: Array<Effect.Effect<string | Redacted.Redacted<string>, unknown>> = [
          Effect.fail(Object.assign(new Error("SASL: the vault answered 503"), { code: "ECONNREFUSED" })),
          Effect.succeed("old"),
          Effect.die(new Error("sealed")),
          Effect.succeed(""),
          Effect.succeed(Redacted.make(server.password))
        ]
        const pg = yield* start(server, {
          connection: { password: Effect.suspend(() => passwords.shift() ?? Effect.succeed("spent")) },
          retryPolicy: RetryPolicy.fromFunction(() => 20).pipe(
            RetryPolicy.whileError((error) => {
              told.push(error)
              return !PgError.isFatal(error)
            })
          )
        })
        expect((yield* pg.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
        expect(told).toMatchObject([
          { reason: "Credentials", cause: { message: "SASL: the vault answered 503" } },
          { reason: "Authentication", code: "28P01", isAskedAgain: true },
          { reason: "Credentials", cause: { message: "sealed" } },
          { reason: "Authentication", isAskedAgain: true }
        ])
      }))

    test("is refused without a password, and for a database that there is not", (server) =>
      Effect.gen(function* () {
        const nobody = yield* start(server, { connection: { password: "" } })
        expect(yield* errorOf(nobody)).toMatchObject({ reason: "Authentication" })
        const nowhere = yield* start(server, { connection: { database: "nowhere" } })
        expect(yield* errorOf(nowhere)).toMatchObject({ reason: "NoDatabase", code: "3D000" })
        const plain = yield* start(server, { connection: { ssl: true } })
        expect(yield* errorOf(plain)).toMatchObject({ reason: "Tls" })
      }))

    test("has the options of TLS made for each connection, so that a certificate that is renewed needs no restart", (server) =>
      Effect.gen(function* () {
        const authority = yield* makeAuthority()
        const admin = yield* start(server)
        const write = (file: string, text: string) =>
          admin.query(
            `COPY (SELECT unnest(string_to_array('${text.trim()}', E'\\n'))) TO PROGRAM 'umask 077; cat > ${file}'`
          )
        const url = `${server.url}?channel_binding=require`
        const unbound = yield* start(server, { connection: { url } })
        expect(yield* Effect.flip(unbound.service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({
          reason: "Authentication",
          detail: expect.stringContaining("channel_binding=require")
        })
        const { cert, key } = yield* authority.issue("127.0.0.1")
        yield* write("server.crt", cert)
        yield* write("server.key", key)
        yield* admin.query("ALTER SYSTEM SET ssl = on")
        yield* admin.query("SELECT pg_reload_conf()")
        yield* Effect.addFinalizer(() =>
          Effect.orDie(Effect.zipRight(admin.query("ALTER SYSTEM RESET ssl"), admin.query("SELECT pg_reload_conf()")))
        )
        yield* Effect.repeat(admin.query<{ readonly ssl: string }>("SHOW ssl"), {
          until: ({ rows }) => rows[0]?.ssl === "on"
        })
        const bound = yield* start(server, { connection: { url, ssl: { ca: authority.ca } } })
        expect((yield* bound.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }])
        let made = 0
        const options: Array<Effect.Effect<object, Error>> = [
          Effect.fail(new Error("ca.crt: it is missing")),
          Effect.succeed({ ca: (yield* makeAuthority()).ca })
        ]
        // One object for all, which `pg` would change.
        const renewed = Object.freeze({ ca: authority.ca, cert, key })
        const ssl = Effect.suspend(() => {
          made += 1
          return options.shift() ?? Effect.succeed(renewed)
        })
        const pg = yield* start(server, { connection: { ssl } })
        const missing = yield* errorOf(pg)
        expect(missing).toMatchObject({ _tag: "PgError", reason: "Credentials" })
        expect(missing).toHaveProperty("message", expect.stringContaining("ca.crt: it is missing"))
        expect(yield* Effect.flip(pg.service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({ reason: "Tls" })
        const isSecure = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        expect((yield* pg.query(isSecure)).rows).toEqual([{ ssl: true }])
        expect(made).toBe(3)
        // A transaction has a connection of its own.
        expect((yield* pg.transaction(({ query }) => query(isSecure))).rows).toEqual([{ ssl: true }])
        expect(made).toBe(4)
        const left = yield* Effect.fork(pg.query("SELECT pg_sleep(600)"))
        yield* Effect.repeat(admin.query("SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"), {
          until: ({ rowCount }) => rowCount === 1
        })
        // What can't be had any more is that of the connection, whatever becomes of the Effect.
        options.push(Effect.interrupt)
        yield* Fiber.interrupt(left)
        yield* pg.query("SELECT 1")
        expect(made).toBe(5)
      }))

    test("is closed when the service stops, at both ends", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        yield* admin.service.whenConnected()
        const before = sockets()
        const pg = yield* start(server, { connection: { application_name: "leaving" } })
        const heard = yield* hear(pg, "leaving")
        yield* terminate(admin, pg)
        yield* heard.until(isGap("Reconnected"))
        expect(yield* connectionsOf(admin, "leaving")).toBe(1)
        const transaction = yield* Effect.fork(
          pg.service.use((connection) =>
            connection.withClient((client) => client.query("BEGIN").then(() => new Promise(() => {})))
          )
        )
        yield* Effect.repeat(admin.query("SELECT FROM pg_stat_activity WHERE state = 'idle in transaction'"), {
          until: ({ rowCount }) => rowCount === 1
        })
        yield* pg.service.stop
        yield* Fiber.await(transaction)
        expect(yield* connectionsOf(admin, "leaving")).toBe(0)
        // What the server says of a client that leaves a transaction without a goodbye.
        expect(server.output()).not.toContain("unexpected EOF")
        expect(sockets()).toBe(before)
        expect(yield* Effect.flip(pg.query("SELECT 1"))).toBeInstanceOf(ClientService.ServiceStopped)
      }))

    test("is closed also while the server is paused", (server) =>
      Effect.gen(function* () {
        const before = sockets()
        const pg = yield* start(server, { connection: { linger: 50 } })
        yield* pg.service.whenConnected()
        yield* server.pause
        yield* pg.service.stop
        yield* server.resume
        expect(sockets()).toBe(before)
      }))

    test("is closed also while it logs in to a server that is paused", (server) =>
      Effect.gen(function* () {
        const before = sockets()
        yield* server.pause
        const pg = yield* start(server)
        yield* stateOf(pg, "Connecting")
        yield* pg.service.stop
        yield* server.resume
        expect(sockets()).toBe(before)
      }))

    test("is prepared before anybody gets it, each time", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server, { prepare: (connection) => connection.query("SET my.greeting = 'hello'") })
        for (let i = 0; i < 2; i++) {
          expect((yield* pg.query("SELECT current_setting('my.greeting') AS greeting")).rows).toEqual([
            { greeting: "hello" }
          ])
          const noticing = yield* Effect.fork(errorOf(pg))
          yield* terminate(admin, pg)
          yield* Fiber.join(noticing)
        }
      }))

    test("keeps the rules of an endpoint", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        yield* TestEndpoint.checkEndpoint(endpointOf(server, { application_name: "checked" }), {
          open: Effect.orDie(connectionsOf(admin, "checked")),
          use: (connection) => connection.query("SELECT 1")
        })
      }))

    test("has one user at a time, and an interrupted statement whose turn has not come is not run", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        yield* pg.query("CREATE TABLE turns (n int)")
        const isInside = yield* Deferred.make<void>()
        const leave = yield* Deferred.make<void>()
        const transaction = yield* Effect.fork(
          pg.service.use((connection) =>
            connection.withClient(async (client) => {
              await client.query("BEGIN")
              await client.query("INSERT INTO turns VALUES (1)")
              Effect.runSync(Deferred.succeed(isInside, undefined))
              await Effect.runPromise(Deferred.await(leave))
              await client.query("ROLLBACK")
            })
          )
        )
        yield* Deferred.await(isInside)
        const given = yield* Effect.fork(pg.query("INSERT INTO turns VALUES (2)"))
        const taken = yield* Effect.fork(pg.query("INSERT INTO turns VALUES (3)"))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(taken)
        yield* Deferred.succeed(leave, undefined)
        yield* Fiber.join(transaction)
        yield* Fiber.join(given)
        expect((yield* pg.query("SELECT n FROM turns")).rows).toEqual([{ n: 2 }])
      }))

    test("is configured by the environment", (server) =>
      Effect.gen(function* () {
        const provided = (port: number) =>
          PgService.layerConfig({
            host: Config.string("PGHOST"),
            port: Config.integer("PGPORT"),
            user: Config.string("PGUSER"),
            password: Config.redacted("PGPASSWORD")
          }).pipe((live) =>
            Effect.flatMap(PgService.PgService, (pg) => pg.query("SELECT current_user::text AS me")).pipe(
              Effect.provide(live),
              Logger.withMinimumLogLevel(LogLevel.None),
              Effect.withConfigProvider(
                ConfigProvider.fromMap(
                  new Map([
                    ["PGHOST", server.host],
                    ["PGPORT", String(port)],
                    ["PGUSER", server.user],
                    ["PGPASSWORD", server.password]
                  ])
                )
              )
            )
          )
        expect((yield* provided(server.port)).rows).toEqual([{ me: server.user }])
        expect(yield* Effect.flip(provided(0))).toMatchObject({ _op: "InvalidData", path: ["port"] })
      }))
  })

  describe("listening", () => {
    test("hears what is sent after a gap from the very gap on, and of every other loss by a gap", (server) =>
      Effect.gen(function* () {
        const admin = yield* start(server)
        const pg = yield* start(server)
        const answered = yield* Deferred.make<void>()
        let count = 0
        // At every gap it sends something that it has to hear.
        const listening = yield* pg.listen("gaps", gaps).pipe(
          Stream.runForEach((event) =>
            event._tag === "Gap"
              ? notify(admin, "gaps", count)
              : Effect.gen(function* () {
                  expect(event.payload).toBe(String(count))
                  count += 1
                  if (count === 5) yield* Deferred.succeed(answered, undefined)
                  else yield* terminate(admin, pg)
                })
          ),
          Effect.forkScoped
        )
        yield* Effect.raceFirst(Deferred.await(answered), Fiber.join(listening))
        expect(count).toBe(5)
      }))

    test("accounts for all that is sent while its connections are ended or replaced", (server) =>
      Effect.gen(function* () {
        const writer = yield* start(server)
        const ended = yield* start(server)
        const replaced = yield* start(server, { maxAge: 100 })
        const ledger = yield* insertInto(writer, "outages")
        const heard = yield* hear(ended, "outages")
        const heardToo = yield* hear(replaced, "outages")
        const load = yield* Effect.fork(Effect.forever(ledger.insertMore(1)))
        for (let i = 0; i < 3; i++) {
          yield* terminate(writer, ended)
          yield* heard.until(isGap("Reconnected"))
          yield* heardToo.until(isGap("Reconnected"))
        }
        yield* Fiber.interrupt(load)
        yield* notify(writer, "outages", "end")
        yield* heard.until(isPayload("end"))
        yield* heardToo.until((event) => isPayload("end")(event) || isGap("Reconnected")(event))
        expect(unaccounted(ledger.acknowledged, heard.events)).toEqual({ untold: [], twice: [] })
        expect(unaccounted(ledger.acknowledged, heardToo.events).untold).toEqual([])
      }))

    test("is shared by the streams of a channel, and ends with the last one", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const first = yield* Effect.forkScoped(Stream.runHead(pg.listen("shared")))
        const second = yield* hear(pg, "shared")
        yield* hear(pg, "other")
        expect(yield* listeningTo(pg)).toEqual(["shared", "other"])
        yield* Fiber.interrupt(first)
        yield* notify(pg, "shared", "still there")
        yield* second.until(isPayload("still there"))
        const last = yield* Effect.fork(Stream.runHead(Stream.drop(pg.listen("lonely", gaps), 1)))
        yield* Effect.repeat(listeningTo(pg), { until: (channels) => channels.includes("lonely") })
        yield* notify(pg, "lonely", "bye")
        expect(yield* Fiber.join(last)).toMatchObject({ value: { channel: "lonely", payload: "bye" } })
        expect(yield* listeningTo(pg)).toEqual(["shared", "other"])
      }))

    test("takes few turns for many that begin, or end, at once", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server, { heartbeat: false })
        let asked = 0
        yield* pg.service.use((connection) =>
          Effect.sync(() => {
            const asOwner: unknown = Reflect.get(connection, "asOwner")
            Reflect.set(connection, "asOwner", (...args: ReadonlyArray<unknown>): unknown => {
              asked++
              return typeof asOwner === "function" ? asOwner(...args) : undefined
            })
          })
        )
        const begun = yield* Effect.makeLatch()
        let count = 0
        const listening = yield* Effect.forEach(Array.from({ length: 100 }), (_, n) =>
          Effect.fork(
            Stream.runForEach(pg.listen(`many ${n}`, gaps), () => (++count === 100 ? begun.open : Effect.void))
          )
        )
        yield* begun.await
        expect(asked).toBeLessThan(10)
        yield* Fiber.interruptAll(listening)
        expect(yield* listeningTo(pg)).toEqual([])
        expect(asked).toBeLessThan(20)
      }))

    test("takes the name of a channel literally, and gives the payload and the sender", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const sender = yield* start(server)
        for (const channel of [`He said "no"; DROP TABLE x; --`, "Größe", "x".repeat(63)]) {
          const heard = yield* hear(pg, channel)
          yield* notify(sender, channel, 'it\'s {"here"}')
          yield* heard.until(isPayload('it\'s {"here"}'))
          yield* pg.query(`NOTIFY "${channel.replaceAll('"', '""')}"`)
          yield* heard.until(isPayload(""))
          expect(heard.events).toMatchObject([
            { _tag: "Gap", reason: "Started" },
            { _tag: "Notification", channel, processId: yield* processOf(sender) },
            { _tag: "Notification", channel, processId: yield* processOf(pg) }
          ])
        }
      }))

    test("tells a slow consumer that it has missed something, and goes on with the newest", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const isStarted = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const consuming = yield* pg.listen("flood", { ...gaps, bufferSize: 4 }).pipe(
          Stream.tap((event) =>
            isGap("Started")(event)
              ? Effect.zipRight(Deferred.succeed(isStarted, undefined), Deferred.await(goOn))
              : Effect.void
          ),
          Stream.takeUntil(isPayload("200")),
          Stream.runCollect,
          Effect.fork
        )
        yield* Deferred.await(isStarted)
        yield* pg.query("SELECT pg_notify('flood', n::text) FROM generate_series(1, 200) AS n")
        yield* Deferred.succeed(goOn, undefined)
        const events = [...(yield* Fiber.join(consuming))]
        expect(events.filter(isGap("Overflow")).length).toBeGreaterThan(0)
        const sent = Array.from({ length: 200 }, (_, index) => index + 1)
        expect(unaccounted(sent, events.slice(1))).toEqual({ untold: [], twice: [] })
        expect(events.length).toBeLessThan(50)
      }))

    test("begins after a transaction that is under way, and not within it", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const isInside = yield* Deferred.make<void>()
        const leave = yield* Deferred.make<void>()
        const transaction = yield* Effect.fork(
          pg.service.use((connection) =>
            connection.withClient(async (client) => {
              await client.query("BEGIN")
              Effect.runSync(Deferred.succeed(isInside, undefined))
              await Effect.runPromise(Deferred.await(leave))
              throw new Error("not this one")
            })
          )
        )
        yield* Deferred.await(isInside)
        const hearing = yield* Effect.fork(hear(pg, "transaction"))
        yield* turns(3)
        yield* Deferred.succeed(leave, undefined)
        yield* Fiber.await(transaction)
        const heard = yield* Fiber.join(hearing)
        yield* notify(pg, "transaction", "done")
        yield* heard.until(isPayload("done"))
      }))

    test("tells of no gap before it has begun", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const other = yield* start(server)
        const pid = yield* processOf(pg)
        // The turn of the LISTEN does not come before the connection is lost.
        const holding = yield* Effect.fork(
          Effect.ignore(pg.service.use((connection) => connection.withClient(() => new Promise(() => {}))))
        )
        yield* Effect.repeatN(Effect.yieldNow(), 10)
        const first = yield* Effect.fork(Stream.runHead(pg.listen("lost early", gaps)))
        yield* Effect.repeatN(Effect.yieldNow(), 10)
        yield* other.query("SELECT pg_terminate_backend($1)", [pid])
        expect(yield* Effect.flatten(Fiber.join(first))).toEqual({ _tag: "Gap", reason: "Started" })
        yield* Fiber.join(holding)
      }))

    test("fails when the service stops", (server) =>
      Effect.gen(function* () {
        const pg = yield* start(server)
        const heard = yield* Effect.fork(Stream.runDrain(pg.listen("stopped")))
        yield* pg.service.whenConnected()
        yield* pg.service.stop
        expect(yield* Fiber.await(heard)).toEqual(Exit.fail(expect.objectContaining({ _tag: "ServiceStopped" })))
      }))
  })
})
