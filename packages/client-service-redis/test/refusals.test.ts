import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Stream } from "effect"
import { type RedisEndpoint, RedisError } from "effect-client-service-redis"
import { startProxy } from "./support/proxy.js"
import { connectTo, isMissing, startServer } from "./support/servers.js"

const settings = { appendonly: "no" }

const failureOf = (port: number, options: RedisEndpoint.Options = {}) =>
  Effect.scoped(
    Effect.flatMap(connectTo<never>(port, options), ({ service }) =>
      Effect.flip(Effect.asVoid(service.whenConnected({ failAfterFailures: 1 })))
    )
  )

/** What a server has taken for a script, and goes on with until it is told to end it. */
const running = (port: number, script: string) =>
  Effect.gen(function* () {
    const other = yield* connectTo(port, { heartbeat: false })
    yield* other.service.whenConnected()
    yield* Effect.fork(Effect.ignore(other.use((client) => client.eval(script))))
  })

describe.skipIf(isMissing)("an attempt that the server refuses", () => {
  // Kind 31
  it.scopedLive("is final if no waiting mends it, and is tried again otherwise: by what a user may not", () =>
    Effect.gen(function* () {
      const server = yield* startServer({
        settings: {
          ...settings,
          requirepass: "right",
          "user alice": "on >secret ~* +@all -select",
          "user off": "off >secret ~* +@all",
          "user quiet": "on >secret ~* +@all -client|setname -client|id -role -config -info -ping"
        }
      })
      const password = Redacted.make("secret")
      for (const [options, code, reason, isFatal] of [
        [{ password: Redacted.make("wrong") }, "WRONGPASS", "Authentication", true],
        [{ username: "nobody", password }, "WRONGPASS", "Authentication", true],
        [{ username: "off", password }, "WRONGPASS", "Authentication", true],
        [{}, "NOAUTH", "Authentication", true],
        [{ password: Redacted.make("right"), database: 99 }, "ERR", "NoDatabase", true],
        [{ username: "alice", password, database: 1 }, "NOPERM", "Command", false]
      ] as const) {
        const error = yield* failureOf(server.port, options)
        expect([error, RedisError.isFatal(error)]).toMatchObject([{ _tag: "RedisError", code, reason }, isFatal])
      }
      const quiet = yield* connectTo(server.port, { username: "quiet", password })
      expect(yield* quiet.use((client) => client.get("key"))).toBe(null)
      const renamed = yield* startServer({ settings: { ...settings, "rename-command": 'HELLO ""' } })
      const error = yield* failureOf(renamed.port)
      expect([error, RedisError.isFatal(error)]).toMatchObject([{ code: "ERR", reason: "Command" }, false])
    })
  )

  // Kind 31
  it.scopedLive("is final if it is a node of a cluster, which has one database", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { ...settings, "cluster-enabled": "yes" } })
      const error = yield* failureOf(server.port, { database: 1 })
      expect([error, RedisError.isFatal(error)]).toMatchObject([{ code: "ERR", reason: "NoDatabase" }, true])
      const redis = yield* connectTo(server.port, { database: 0 })
      expect(yield* Effect.flip(redis.use((client) => client.get("key")))).toMatchObject({
        reason: "NotReady",
        code: "CLUSTERDOWN"
      })
    })
  )

  // Kind 31
  it.scopedLive("is tried again while it is out of touch with its primary (MASTERDOWN), or runs a script (BUSY)", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { ...settings, "lua-time-limit": "1" } })
      const control = yield* connectTo(server.port, { heartbeat: false })
      yield* control.command("CONFIG", ["SET", "replica-serve-stale-data", "no"])
      yield* control.command("REPLICAOF", ["127.0.0.1", "1"])
      expect(yield* failureOf(server.port)).toMatchObject({ reason: "NotReady", code: "MASTERDOWN" })
      yield* control.command("REPLICAOF", ["NO", "ONE"])
      yield* running(server.port, "while true do end")
      const busy = yield* Effect.repeat(Effect.either(control.command("GET", ["key"])), {
        until: ({ _tag }) => _tag === "Left"
      })
      expect(busy).toMatchObject({ left: { reason: "NotReady", code: "BUSY" } })
      const error = yield* failureOf(server.port)
      expect([error, RedisError.isFatal(error)]).toMatchObject([{ reason: "NotReady", code: "BUSY" }, false])
      yield* control.command("SCRIPT", ["KILL"])
      yield* Effect.repeat(Effect.either(control.command("GET", ["key"])), { until: ({ _tag }) => _tag === "Right" })
      expect(yield* Effect.flip(control.command("SCRIPT", ["KILL"]))).toMatchObject({ code: "NOTBUSY" })
      yield* running(server.port, "redis.call('SET', 'key', 'value') while true do end")
      yield* Effect.repeat(Effect.either(control.command("GET", ["key"])), { until: ({ _tag }) => _tag === "Left" })
      const unkillable = yield* Effect.flip(control.command("SCRIPT", ["KILL"]))
      expect([unkillable, RedisError.isFatal(unkillable)]).toMatchObject([
        { reason: "Command", code: "UNKILLABLE" },
        false
      ])
    })
  )
})

describe.skipIf(isMissing)("a command that the server refuses", () => {
  // Kind 31
  it.scopedLive("is told by its code, alone or in a transaction, and the connection goes on", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const redis = yield* connectTo(server.port)
      yield* redis.command("RPUSH", ["list", "a"])
      yield* redis.command("XGROUP", ["CREATE", "stream", "group", "$", "MKSTREAM"])
      const set = (name: string, value: string) => redis.command("CONFIG", ["SET", name, value])
      const refused: Array<readonly [ReadonlyArray<string>, string, string]> = [
        [["GET", "list"], "WRONGTYPE", "Command"],
        [["XGROUP", "CREATE", "stream", "group", "$"], "BUSYGROUP", "Command"],
        [["XREADGROUP", "GROUP", "none", "c", "STREAMS", "stream", ">"], "NOGROUP", "Command"],
        [["EVALSHA", "0".repeat(40), "0"], "NOSCRIPT", "Command"],
        [["NOTHING"], "ERR", "Command"],
        [["GET"], "ERR", "Command"]
      ]
      const expectAll = Effect.gen(function* () {
        for (const [command, code, reason] of refused) {
          const [name = "", ...args] = command
          for (const call of [
            redis.command(name, args),
            redis.pipeline((client) =>
              client
                .multi()
                .ping()
                .addCommand([...command])
            ),
            redis.transaction((client) =>
              client
                .multi()
                .ping()
                .addCommand([...command])
            )
          ]) {
            const error = yield* Effect.flip(Effect.asVoid<unknown, unknown, never>(call))
            expect([command, error, RedisError.isFatal(error)]).toMatchObject([command, { code, reason }, false])
            expect(yield* redis.use((client) => client.echo("hello"))).toBe("hello")
          }
        }
      })
      yield* expectAll
      for (const [name, value, before, code] of [
        ["maxmemory", "1", "0", "OOM"],
        ["min-replicas-to-write", "1", "0", "NOREPLICAS"]
      ] as const) {
        yield* set(name, value)
        refused.splice(0, refused.length, [["SET", "key", "value"], code, "NotReady"])
        yield* expectAll
        yield* set(name, before)
      }
      // What it is discarded for at its end, not what it is refused by before.
      const transaction = redis.transaction((client) =>
        client.multi().set("key", "value").addCommand(["CONFIG", "SET", "min-replicas-to-write", "1"])
      )
      yield* Effect.exit(transaction)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  // Kind 31
  it.scopedLive("tells what can't be done now from what can't be done (said by a peer that speaks the protocol)", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const { port } = yield* startProxy(server.port, {
        asked: (data, { client }) => {
          const says = /\$4\r\nSAYS\r\n\$\d+\r\n([^\r]*)\r\n/.exec(data)?.[1]
          if (says === undefined) return data
          client.write(`-${says}\r\n`)
          return undefined
        }
      })
      const redis = yield* connectTo(port, { heartbeat: false })
      for (const [says, reason, isFatal] of [
        ["MOVED 3999 127.0.0.1:6381", "NotReady", false],
        ["ASK 3999 127.0.0.1:6381", "NotReady", false],
        ["TRYAGAIN Multiple keys request during rehashing of slot", "NotReady", false],
        ["CLUSTERDOWN The cluster is down", "NotReady", false],
        ["CROSSSLOT Keys in request don't hash to the same slot", "Command", false],
        ["LOADING Redis is loading the dataset in memory", "NotReady", false],
        ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "NotReady", false],
        [
          "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
          "NotReady",
          false
        ],
        [
          "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
          "NotReady",
          false
        ],
        ["ERR max number of clients reached", "NotReady", false],
        ["ERR max number of clients + cluster connections reached", "NotReady", false],
        ["EXECABORT Transaction discarded because of previous errors.", "Command", false],
        [
          "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
          "NotReady",
          false
        ],
        ["DENIED Redis is running in protected mode because protected mode is enabled", "Command", false],
        ["NOPROTO unsupported protocol version", "Command", false],
        ["IOERR error or timeout reading to target instance", "Command", false],
        ["WRONGPASS invalid username-password pair or user is disabled.", "Authentication", true]
      ] as const) {
        const error = yield* Effect.flip(redis.command("SAYS", [says]))
        expect([says, error, RedisError.isFatal(error)]).toMatchObject([says, { reason }, isFatal])
      }
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  // Kind 31
  it.scopedLive("in a stream ends it if it is for good, and is asked again otherwise, with a warning", () =>
    Effect.gen(function* () {
      const user = "alice on nopass ~* &news +@all -xreadgroup"
      const server = yield* startServer({ settings: { ...settings, user } })
      const redis = yield* connectTo(server.port, { username: "alice", password: "any" })
      const streams: ReadonlyArray<Stream.Stream<unknown, unknown>> = [
        redis.subscribe("other"),
        redis.psubscribe("news*"),
        redis.ssubscribe("other"),
        redis.readGroup({ stream: "stream", group: "group", consumer: "c", startId: "0" })
      ]
      for (const stream of streams) {
        expect(yield* Effect.flip(Stream.runDrain(stream))).toMatchObject({ reason: "Command", code: "NOPERM" })
      }
      const control = yield* connectTo(server.port)
      yield* control.command("CONFIG", ["SET", "maxmemory", "1"])
      const reading = yield* Effect.fork(
        control
          .readGroup({ stream: "new", group: "group", consumer: "c", startId: "0" })
          .pipe(Stream.runHead, Effect.flatten)
      )
      yield* Effect.repeat(control.command("INFO", ["errorstats"]), {
        until: (info) => String(info).includes("errorstat_OOM")
      })
      yield* control.command("CONFIG", ["SET", "maxmemory", "0"])
      yield* control.use((client) => client.xAdd("new", "*", { n: "1" }))
      expect((yield* Fiber.join(reading)).fields).toEqual({ n: "1" })
    })
  )
})
