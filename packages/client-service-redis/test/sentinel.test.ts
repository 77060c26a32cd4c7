import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Logger, LogLevel, Redacted, Schedule } from "effect"
import { RetryPolicy, TestEndpoint } from "effect-client-service"
import { EndpointsFailed } from "effect-client-service/EndpointsFailed"
import { Redis, type RedisConnection, RedisEndpoint, RedisError } from "effect-client-service-redis"
import * as serverProcess from "test-servers/serverProcess"
import { connectTo, isMissing, retryPolicy, startSentinel, startServer } from "./support/servers.js"

const whileOfUse = RetryPolicy.whileError(retryPolicy, (error) => !RedisError.isFatal(error))

const master = "mymaster"

const make = (options: Omit<RedisEndpoint.SentinelOptions, "master">) =>
  Redis.make({ endpoint: RedisEndpoint.sentinel({ master, ...options }), retryPolicy: whileOfUse }).pipe(
    Logger.withMinimumLogLevel(LogLevel.None)
  )

const failureOf = (redis: Redis.Service) => Effect.flip(redis.service.whenConnected({ failAfterFailures: 1 }))

const connectedTo = (redis: Redis.Service) =>
  Effect.map(redis.command("INFO", ["server"]), (info) => Number(/tcp_port:(\d+)/.exec(String(info))?.[1]))

/** Asks until the answer is the one waited for, with pauses: servers take seconds to find each other. */
const asked = <A, E, R>(question: Effect.Effect<A, E, R>, isIt: (answer: A) => boolean) =>
  Effect.repeat(question, { schedule: Schedule.spaced("20 millis"), until: isIt })

/** A master and a replica that has all of it. */
const startPair = Effect.gen(function* () {
  const first = yield* startServer()
  const second = yield* startServer({
    settings: { replicaof: `127.0.0.1 ${first.port}`, "repl-diskless-sync-delay": "0" }
  })
  const control = yield* connectTo(first.port)
  yield* asked(control.command("INFO", ["replication"]), (info) => /state=online/.test(String(info)))
  return { first, second }
})

/** Waits until a sentinel has found so many of the other servers and sentinels. */
const hasFound = (sentinel: { readonly port: number }, slaves: number, sentinels: number) =>
  Effect.gen(function* () {
    const redis = yield* connectTo(sentinel.port, { heartbeat: false })
    const found = `slaves=${slaves},sentinels=${sentinels}`
    yield* asked(redis.command("INFO", ["sentinel"]), (info) => String(info).includes(found))
  }).pipe(Effect.scoped)

describe.skipIf(isMissing)("a master that sentinels watch over", () => {
  it.scopedLive("is killed: the service goes on with the replica that they promote, and keeps what was written", () =>
    Effect.gen(function* () {
      const { first, second } = yield* startPair
      const sentinels = yield* Effect.all(
        [1, 2, 3].map(() => startSentinel({ name: master, master: first.port, quorum: 2 })),
        { concurrency: "unbounded" }
      )
      for (const sentinel of sentinels) yield* hasFound(sentinel, 1, 3)
      const redis = yield* make({ sentinels })
      expect(redis.service.name).toBe("sentinel://mymaster")
      expect(yield* connectedTo(redis)).toBe(first.port)
      yield* redis.use((client) => client.set("key", "value"))
      yield* redis.session(({ run }) => run((client) => client.wait(1, 0)))

      yield* first.kill
      // No call fails but what had been sent: the others wait for the new master.
      expect(yield* Effect.retry(connectedTo(redis), { while: ({ _tag }) => _tag === "ConnectionLost" })).toBe(
        second.port
      )
      expect(yield* redis.use((client) => client.get("key"))).toBe("value")
      expect(yield* redis.use((client) => client.set("key", "later"))).toBe("OK")
      // A sentinel of them is enough.
      for (const sentinel of sentinels.slice(0, 2)) yield* sentinel.kill
      yield* redis.service.reconnect
      expect(yield* redis.use((client) => client.get("key"))).toBe("later")
    })
  )

  it.scopedLive("is demoted and stays up: a command that writes fails, and the service goes to the new one", () =>
    Effect.gen(function* () {
      const { first, second } = yield* startPair
      const sentinel = yield* startSentinel({ name: master, master: first.port, quorum: 1 })
      yield* hasFound(sentinel, 1, 1)
      const redis = yield* make({ sentinels: [sentinel] })
      expect(yield* connectedTo(redis)).toBe(first.port)
      const control = yield* connectTo(sentinel.port, { heartbeat: false })
      yield* control.command("SENTINEL", ["FAILOVER", master])
      const set = redis.use((client) => client.set("key", "value"))
      // Until it is demoted, it takes what it loses later.
      yield* asked(
        Effect.zipRight(Effect.ignore(set), Effect.option(connectedTo(redis))),
        (port) => port._tag === "Some" && port.value === second.port
      )
      expect(yield* set).toBe("OK")
    })
  )

  it.scopedLive("is a replica by its own account: it is not used, and what the next sentinel says is tried", () =>
    Effect.gen(function* () {
      const { first, second } = yield* startPair
      // One that has lost touch with the others, and one that has not.
      const stale = yield* startSentinel({ name: master, master: second.port, quorum: 1, isAlone: true })
      const right = yield* startSentinel({ name: master, master: first.port, quorum: 1 })
      const redis = yield* make({ sentinels: [stale, right] })
      const error = yield* failureOf(redis)
      expect(error).toMatchObject({ reason: "NotReady", endpoint: "sentinel://mymaster" })
      expect(error.message).toContain(
        `redis://127.0.0.1:${stale.port} says that the master is 127.0.0.1:${second.port}: its role is slave`
      )
      expect(yield* connectedTo(redis)).toBe(first.port)
      // It stays with the one that was right.
      yield* redis.service.reconnect
      expect(yield* connectedTo(redis)).toBe(first.port)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
    })
  )

  it.scopedLive("is not found: the error tells what each sentinel said, and is not final", () =>
    Effect.gen(function* () {
      const first = yield* startServer()
      const silent = yield* startSentinel({ name: master, master: first.port, quorum: 1 })
      const other = yield* startSentinel({ name: "other", master: first.port, quorum: 1 })
      const absent = { host: "127.0.0.1", port: yield* serverProcess.freePort }
      yield* silent.pause
      const redis = yield* make({ sentinels: [absent, silent, other], sentinelTimeout: "200 millis" })
      const error = yield* failureOf(redis)
      expect(error).toMatchObject({ _tag: "RedisError", reason: "NoMaster", endpoint: "sentinel://mymaster" })
      const { cause } = error as RedisError.RedisError
      expect(cause).toBeInstanceOf(EndpointsFailed)
      expect((cause as EndpointsFailed<RedisError.RedisError>).failures).toMatchObject([
        { endpoint: `redis://127.0.0.1:${absent.port}`, cause: { error: { reason: "Refused", code: "ECONNREFUSED" } } },
        { endpoint: `redis://127.0.0.1:${silent.port}`, cause: { error: { reason: "Unreachable" } } },
        { endpoint: `redis://127.0.0.1:${other.port}`, cause: { error: { reason: "NoMaster" } } }
      ])
      for (const { port } of [absent, silent, other]) expect(error.message).toContain(`redis://127.0.0.1:${port}: `)
      expect(RedisError.isFatal(error)).toBe(false)

      const nobody = yield* make({ sentinels: [absent, silent], sentinelTimeout: "50 millis" })
      expect(yield* failureOf(nobody)).toMatchObject({ _tag: "RedisError", reason: "NoSentinel" })
      const later = yield* Effect.fork(nobody.use((client) => client.incr("count")))
      yield* silent.resume
      expect(yield* Fiber.join(later)).toBe(1)
    })
  )

  it.scopedLive("is asked for with credentials of its own and of the sentinels, of which wrong ones are final", () =>
    Effect.gen(function* () {
      const first = yield* startServer({ settings: { requirepass: "right" } })
      const settings = ["requirepass secret", `sentinel auth-pass ${master} right`]
      const sentinel = yield* startSentinel({ name: master, master: first.port, quorum: 1, settings })
      const sentinels = [sentinel]
      const secret = Redacted.make("secret")
      const redis = yield* make({ sentinels, password: "right", sentinelPassword: secret, database: 2 })
      expect(redis.service.name).toBe("sentinel://mymaster/2")
      expect(yield* redis.command("CLIENT", ["INFO"])).toContain(" db=2 ")
      for (const [options, code] of [
        [{ password: "right", sentinelPassword: "wrong" }, "WRONGPASS"],
        [{ password: "right" }, "NOAUTH"],
        [{ password: "wrong", sentinelPassword: secret }, "WRONGPASS"]
      ] as const) {
        const wrong = yield* make({ sentinels, ...options })
        const error = yield* Effect.flip(wrong.use((client) => client.get("key")))
        expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1, cause: { error: { code } } })
      }
      // One that can't be reached may yet take it.
      const absent = { host: "127.0.0.1", port: yield* serverProcess.freePort }
      const hopeful = yield* make({ sentinels: [...sentinels, absent], sentinelPassword: "wrong" })
      expect(yield* failureOf(hopeful)).toMatchObject({ reason: "NoSentinel" })
      let reads = 0
      const sentinelPassword = Effect.sync(() => Redacted.make(reads++ === 0 ? "old" : "secret"))
      const rotated = yield* make({ sentinels, password: "right", sentinelPassword })
      expect(yield* rotated.use((client) => client.get("key"))).toBe(null)
      expect(reads).toBe(2)
    })
  )

  it.scopedLive("is connected to by the rules that a service relies on, interrupted at any point", () =>
    Effect.gen(function* () {
      const first = yield* startServer()
      const sentinel = yield* startSentinel({ name: master, master: first.port, quorum: 1, isAlone: true })
      const control = yield* connectTo(first.port)
      const list = control.use((client) => client.sendCommand<string>(["CLIENT", "LIST"])).pipe(Effect.orDie)
      const open = Effect.map(list, (text) => String(text).split(" name=mine ").length - 1)
      const endpoint = RedisEndpoint.sentinel({ sentinels: [sentinel], master, clientName: "mine" })
      const use = (connection: RedisConnection.RedisConnection) => connection.run((client) => client.incr("count"))
      yield* TestEndpoint.checkEndpoint(endpoint, { open, use })
    })
  )
})

describe("an option of sentinels that makes no sense", () => {
  const sentinels = [{ host: "a" }]
  for (const [options, option] of [
    [{ sentinels: [], master }, "sentinels"],
    [{ sentinels: [{ host: "" }], master }, "sentinels[0].host"],
    [{ sentinels: [{ host: "a" }, { host: "b", port: 0 }], master }, "sentinels[1].port"],
    [{ sentinels: [{ host: "a", port: null as unknown as number }], master }, "sentinels[0].port"],
    [{ sentinels, master: " " }, "master"],
    [{ sentinels, master, sentinelTimeout: 0 }, "sentinelTimeout"],
    [{ sentinels, master, maxInFlight: 0 }, "maxInFlight"],
    [{ sentinels, master, database: -1 }, "database"]
  ] as const) {
    it(`is refused: ${option} ${JSON.stringify(options)}`, () => {
      const told = { _tag: "InvalidOption", where: "RedisEndpoint.sentinel", option }
      expect(() => RedisEndpoint.sentinel(options)).toThrow(expect.objectContaining(told))
    })
  }
})
