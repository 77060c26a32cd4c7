import { once } from "node:events"
import { readFileSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { type Cause, Deferred, Effect, Either, Fiber, FiberId, Logger, LogLevel, Queue, Redacted, Stream } from "effect"
import { ConnectionError, RetryPolicy, TestEndpoint } from "effect-client-service"
import { Redis, type RedisConnection, RedisEndpoint, RedisError } from "effect-client-service-redis"
import * as serverProcess from "test-servers/serverProcess"
import { makeCertificateFiles } from "../../client-service-node/test/support/certificates.js"
import { connectTo, isMissing, retryPolicy, startServer, until } from "./support/servers.js"

/** A policy that gives up when trying again is of no use. */
const whileOfUse = RetryPolicy.whileError(retryPolicy, (error) => !RedisError.isFatal(error))

const failureOf = (redis: Redis.Service) => Effect.flip(redis.service.whenConnected({ failAfterFailures: 1 }))

/** A server that is none of Redis, and gives its connections. */
const listen = (onSocket: (socket: Socket) => void) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {}).resume()
        onSocket(socket)
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      return { server, sockets, port: (server.address() as AddressInfo).port }
    }),
    ({ server, sockets }) =>
      Effect.promise(async () => {
        for (const socket of sockets) socket.destroy()
        await once(server.close(), "close")
      })
  )

/** A server that speaks TLS alone, by a certificate of the authority that it gives. */
const startTlsServer = (settings: Record<string, string>) =>
  Effect.gen(function* () {
    const { ca, files } = yield* makeCertificateFiles("127.0.0.1")
    const port = yield* serverProcess.freePort
    yield* startServer({
      port,
      settings: {
        port: "0",
        "tls-port": String(port),
        "tls-ca-cert-file": files.ca,
        "tls-cert-file": files.cert,
        "tls-key-file": files.key,
        ...settings
      }
    })
    return { ca, files, port }
  })

describe.skipIf(isMissing)("an attempt", () => {
  it.scopedLive("logs in by a URL, over TLS", () =>
    Effect.gen(function* () {
      const { ca, port } = yield* startTlsServer({ "tls-auth-clients": "no", user: "alice on >p@ss ~* +@all" })
      const url = Redacted.make(`rediss://alice:p%40ss@127.0.0.1:${port}/2`)
      const redis = yield* Redis.make({ endpoint: RedisEndpoint.make({ url, tls: { ca } }), retryPolicy })
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ db=2 .* user=alice /)
      for (const [options, code] of [
        [{ url }, "SELF_SIGNED_CERT_IN_CHAIN"],
        [{ url, host: "localhost", tls: { ca } }, "ERR_TLS_CERT_ALTNAME_INVALID"]
      ] as const) {
        const distrustful = yield* Redis.make({ endpoint: RedisEndpoint.make(options), retryPolicy })
        const told = { _tag: "RedisError", reason: "Unreachable", code }
        const error = yield* failureOf(distrustful)
        expect(error).toMatchObject(told)
        // What Node.js tells of a certificate refers to itself.
        expect(JSON.parse(JSON.stringify(error))).toMatchObject(told)
      }
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  // Kind 13
  it.scopedLive(
    "has the options of TLS made for each connection, so that a certificate that is renewed needs no restart",
    () =>
      Effect.gen(function* () {
        const { ca, files, port } = yield* startTlsServer({ "tls-auth-clients": "yes" })
        let made = 0
        let given: Effect.Effect<object, Error> = Effect.fail(new Error("tls.key: it is missing"))
        const tls = Effect.suspend(() => {
          made += 1
          return given
        })
        const redis = yield* Redis.make({ endpoint: RedisEndpoint.make({ host: "127.0.0.1", port, tls }), retryPolicy })
        const error = yield* failureOf(redis)
        expect(error).toMatchObject({
          _tag: "RedisError",
          reason: "Credentials",
          endpoint: `rediss://127.0.0.1:${port}`
        })
        expect(error.message).toContain("tls.key: it is missing")
        // Without a certificate of the client.
        given = Effect.succeed({ ca })
        const refused = yield* Effect.flip(redis.service.whenConnected({ failAfterFailures: 2 }))
        // Its end may come before what the server says.
        expect(["Unreachable", "Lost"]).toContain("reason" in refused ? refused.reason : refused)
        const [cert, key] = [readFileSync(files.cert, "utf8"), readFileSync(files.key, "utf8")]
        given = Effect.succeed({ ca, cert, key })
        yield* redis.command("PING")
        // One that blocks has a connection of its own.
        const before = made
        yield* redis.command("BLPOP", ["nothing", "0.01"])
        expect(made).toBe(before + 1)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scopedLive("connects to a Unix socket", () =>
    Effect.gen(function* () {
      const path = join(yield* serverProcess.temporaryDirectory, "redis.sock")
      const redis = yield* Redis.make({ endpoint: RedisEndpoint.make({ path }), retryPolicy })
      expect(yield* failureOf(redis)).toMatchObject({ reason: "Refused", code: "ENOENT", endpoint: `unix://${path}` })
      yield* startServer({ settings: { unixsocket: path } })
      expect(yield* redis.use((client) => client.incr("count"))).toBe(1)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scopedLive("keeps the rules that a service relies on, interrupted at any point", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const clients = control.use((client) => client.info("clients")).pipe(Effect.orDie)
      const open = Effect.map(clients, (info) => Number(/connected_clients:(\d+)/.exec(info)?.[1]) - 1)
      const endpoint = RedisEndpoint.make({ host: "127.0.0.1", port: server.port, maxInFlight: 1 })
      const use = (connection: RedisConnection.RedisConnection) => connection.run((client) => client.incr("count"))
      yield* TestEndpoint.checkEndpoint(endpoint, { open, use })
    })
  )

  for (const [what, password, code] of [
    ["a wrong password", Redacted.make("wrong"), "WRONGPASS"],
    ["no password", undefined, "NOAUTH"]
  ] as const) {
    it.scopedLive(`with ${what} can end the policy`, () =>
      Effect.gen(function* () {
        const server = yield* startServer({ settings: { requirepass: "right" } })
        const redis = yield* connectTo(server.port, { password, retryPolicy: whileOfUse })
        const error = yield* Effect.flip(redis.use((client) => client.get("key")))
        expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
        expect(error.message).toContain(code)
        const state = yield* redis.service.state.get
        const failure = { _tag: "Fail", error: { reason: "Authentication", code } }
        expect(state).toMatchObject({ _tag: "Exhausted", cause: failure })
      })
    )
  }

  it.scopedLive("is tried again while an Effect has no password, or an old one, under a policy that ends", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { requirepass: "new" } })
      const passwords = [Effect.fail("503"), Effect.succeed("old"), Effect.die("sealed"), Effect.succeed("new")]
      const password = Effect.map(
        Effect.suspend(() => passwords.shift() ?? Effect.die("spent")),
        Redacted.make
      )
      const endpoint = RedisEndpoint.make({ host: "127.0.0.1", port: server.port, password })
      const redis = yield* Redis.make({ endpoint, retryPolicy: whileOfUse })
      expect(yield* redis.use((client) => client.get("key"))).toBe(null)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scopedLive("is by the user that it is told, also one who has no password, and never by another", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const all = ["on", "~*", "+@all"]
      yield* control.command("ACL", ["SETUSER", "alice", "nopass", ...all])
      yield* control.command("ACL", ["SETUSER", "bob", ">secret", ...all])
      const url = (login: string) => ({ url: `redis://${login}@127.0.0.1:${server.port}`, password: undefined })
      for (const options of [url("alice"), url("alice:"), { username: "alice" }, { username: "alice", password: "" }]) {
        const redis = yield* connectTo(server.port, options)
        expect(yield* redis.command("ACL", ["WHOAMI"])).toBe("alice")
      }
      for (const password of [undefined, Effect.succeed("")]) {
        const redis = yield* connectTo(server.port, { username: "bob", password })
        expect(yield* failureOf(redis)).toMatchObject({ reason: "Authentication", code: "WRONGPASS" })
      }
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scopedLive("for a database that there is not can end the policy", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { database: 99, retryPolicy: whileOfUse })
      const error = yield* Effect.flip(redis.use((client) => client.get("key")))
      expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
      expect(error.message).toContain("DB index is out of range")
    })
  )

  it.scopedLive("is tried again while the server has too many clients", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { maxclients: "1" } })
      const control = yield* connectTo(server.port)
      yield* control.service.whenConnected()
      const redis = yield* connectTo(server.port, { retryPolicy: whileOfUse })
      expect(yield* failureOf(redis)).toMatchObject({ reason: "NotReady", code: "ERR" })
      yield* control.service.stop
      expect(yield* redis.use((client) => client.get("key"))).toBe(null)
    })
  )

  it.scopedLive("is none the worse for a user who may not ask for a PING, and so is the heartbeat", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { user: "alice on >secret ~* +get +set" } })
      const control = yield* connectTo(server.port)
      const heartbeat = { interval: "5 millis", timeout: "5 seconds" } as const
      const password = Redacted.make("secret")
      const redis = yield* connectTo(server.port, { username: "alice", password, heartbeat })
      yield* redis.use((client) => client.set("key", "value"))
      yield* Effect.repeat(control.command("INFO", ["commandstats"]), {
        until: (info) => Number(/cmdstat_ping:.*rejected_calls=(\d+)/.exec(String(info))?.[1]) > 3
      })
      expect(yield* redis.use((client) => client.get("key"))).toBe("value")
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("takes the password of the moment", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { requirepass: "new" } })
      let reads = 0
      const password = Effect.suspend(() => {
        reads += 1
        return reads === 1 ? Effect.fail("sealed") : Effect.succeed(Redacted.make(reads === 2 ? "old" : "new"))
      })
      const endpoint = RedisEndpoint.make({ host: "127.0.0.1", port: server.port, password })
      const redis = yield* Redis.make({ endpoint, retryPolicy })
      const causes: Array<unknown> = []
      yield* Effect.repeat(
        Effect.tap(Effect.either(redis.service.whenConnected({ failAfterFailures: 1 })), (either) => {
          if (either._tag === "Left") causes.push(either.left)
        }),
        { until: ({ _tag }) => _tag === "Right" }
      )
      expect(reads).toBe(3)
      expect(causes[0]).toMatchObject({ reason: "Credentials", cause: "sealed" })
      expect(causes[1]).toMatchObject({ reason: "Authentication", code: "WRONGPASS" })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scopedLive("fails while the server loads its data", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { "key-load-delay": "200" } })
      const redis = yield* connectTo(server.port)
      yield* redis.use((client) => client.eval("for i = 1, 6000 do redis.call('SET', i, i) end"))
      const isNotReady = (either: Either.Either<unknown, unknown>) =>
        Either.isLeft(either) && either.left instanceof RedisError.RedisError && either.left.reason === "NotReady"
      const restart = Effect.gen(function* () {
        yield* server.kill
        yield* until(redis, "Waiting")
        const start = yield* Effect.fork(server.start)
        const outcome = yield* Effect.repeat(Effect.either(redis.service.whenConnected({ failAfterFailures: 1 })), {
          until: (either) => isNotReady(either) || Either.isRight(either)
        })
        yield* Fiber.join(start)
        return outcome
      })
      // It may be done before it is asked.
      const loading = yield* Effect.repeat(restart, { until: Either.isLeft })
      expect(loading).toMatchObject({ left: { code: "LOADING" } })
      expect(yield* redis.use((client) => client.get("6000"))).toBe("6000")
    })
  )

  it.scopedLive("fails while the server is a replica, where prepare asks for more", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      yield* control.command("REPLICAOF", ["127.0.0.1", "1"])
      const redis = yield* connectTo(server.port, {
        prepare: (connection) => connection.run((client) => client.set("key", "value"))
      })
      expect(yield* failureOf(redis)).toMatchObject({ _tag: "RedisError", reason: "NotReady", code: "READONLY" })
      yield* control.command("REPLICAOF", ["NO", "ONE"])
      expect(yield* redis.use((client) => client.get("key"))).toBe("value")
    })
  )

  it.scopedLive("is made anew when the server is no primary any longer, but not with one that never was", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const set = redis.use((client) => client.set("key", "value"))
      yield* set
      const alone = yield* connectTo(server.port)
      const inSession = alone.session(({ run }) => run((client) => client.set("key", "value")))
      yield* inSession
      yield* control.command("REPLICAOF", ["127.0.0.1", "1"])
      expect(yield* Effect.flip(set)).toMatchObject({ _tag: "RedisError", reason: "NotReady", code: "READONLY" })
      expect(yield* Effect.flip(inSession)).toMatchObject({ _tag: "ConnectionLost", cause: { code: "READONLY" } })
      for (const { service } of [redis, alone]) {
        yield* service.state.changes.pipe(
          Stream.filter((state) => state._tag === "Connected" && state.generation === 2),
          Stream.runHead
        )
      }
      // It is a replica now, and was one when it was connected to.
      expect(yield* Effect.flip(set)).toMatchObject({ _tag: "RedisError", reason: "NotReady", code: "READONLY" })
      expect(yield* redis.use((client) => client.get("key"))).toBe("value")
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
    })
  )

  it.scopedLive("never tells the password", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { requirepass: "right" } })
      // One that knows no HELLO repeats what came with it.
      const old = yield* listen((socket) =>
        socket.on("data", (data) => {
          const [, , command, , ...args] = data.toString().split("\r\n")
          const words = args.filter((_, index) => index % 2 === 0)
          socket.write(`-ERR unknown command '${command}', with args beginning with: ${words.join(" ")}\r\n`)
        })
      )
      const told: Array<unknown> = []
      const logger = Logger.make(({ annotations, cause, message }) => void told.push(message, cause, [...annotations]))
      const logged = Logger.replace(Logger.defaultLogger, logger)
      for (const { port } of [server, old]) {
        const redis = yield* Redis.make({
          endpoint: RedisEndpoint.make({ url: `redis://default:hunter2@127.0.0.1:${port}` }),
          retryPolicy
        }).pipe(Effect.provide(logged), Logger.withMinimumLogLevel(LogLevel.All))
        const error = yield* failureOf(redis)
        told.push(error, `${error}`, error.stack, redis.service, redis.service.name, yield* redis.service.state.get)
        yield* redis.service.stop
      }
      expect(told.filter((value): value is Cause.Cause<unknown> => value !== undefined).length).toBeGreaterThan(8)
      const text = told.map((value) => `${String(value)} ${JSON.stringify(value)}`).join("\n")
      expect(text).toContain("WRONGPASS")
      expect(text).toContain("unknown command 'HELLO'")
      expect(text).not.toContain("hunter2")
    })
  )

  for (const tls of [false, true]) {
    it.scopedLive(`with a server that says nothing is given up, and leaves no socket${tls ? " (TLS)" : ""}`, () =>
      Effect.gen(function* () {
        const opened = yield* Queue.unbounded<Deferred.Deferred<void>>()
        const { port } = yield* listen((socket) => {
          const closed = Deferred.unsafeMake<void>(FiberId.none)
          socket.once("close", () => Deferred.unsafeDone(closed, Effect.void))
          Queue.unsafeOffer(opened, closed)
        })
        const redis = yield* connectTo(port, { tls, connectTimeout: "100 millis" })
        expect(yield* failureOf(redis)).toBeInstanceOf(ConnectionError.ConnectTimeout)
        yield* Deferred.await(yield* Queue.take(opened))
        const next = yield* Queue.take(opened)
        yield* redis.service.stop
        yield* Deferred.await(next)
      })
    )
  }
})
