import net from "node:net"
import { inspect } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Logger, LogLevel } from "effect"
import { Redis, RedisEndpoint, type RedisError } from "effect-client-service-redis"
import { turns } from "test-servers/turns"
import { connectTo, isMissing, startServer } from "./support/servers.js"

type Writev = NonNullable<net.Socket["_writev"]>

describe.skipIf(isMissing)("commands", () => {
  it.scopedLive("are answered, one by one, in a pipeline and in a transaction", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { database: 3, clientName: "tester" })
      const count: number = yield* redis.use((client) => client.incr("count"))
      expect(count).toBe(1)
      expect(yield* redis.command("SET", ["greeting", "hello"])).toBe("OK")
      const replies: [number, string | null] = yield* redis.pipeline((client) =>
        client.multi().incr("count").get("greeting")
      )
      expect(replies).toEqual([2, "hello"])
      const both: [number, number] = yield* redis.transaction((client) => client.multi().incr("count").incr("count"))
      expect(both).toEqual([3, 4])
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ name=tester .* db=3 .* resp=3\b/)
    })
  )

  it.scopedLive("are sent to the database, and by the name, that a URL tells in its query", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const url = `redis://127.0.0.1:${server.port}?db=5&client_name=tester`
      const redis = yield* Logger.withMinimumLogLevel(
        Redis.make({ endpoint: RedisEndpoint.make({ url }) }),
        LogLevel.None
      )
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ name=tester .* db=5 /)
    })
  )

  it.scopedLive("fail with what the server or the client refuses them with, and the connection stays", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      yield* redis.use((client) => client.set("text", "hello"))
      const command = { _tag: "RedisError", reason: "Command" }
      const wrongType = { ...command, code: "WRONGTYPE", endpoint: `redis://127.0.0.1:${server.port}` }
      expect(yield* Effect.flip(redis.use((client) => client.lPush("text", "a")))).toMatchObject(wrongType)
      const pipeline = redis.pipeline((client) => client.multi().lPush("text", "a").incr("count"))
      expect(yield* Effect.flip(pipeline)).toMatchObject(wrongType)
      const transaction = redis.transaction((client) => client.multi().lPush("text", "a").incr("count"))
      expect(yield* Effect.flip(transaction)).toMatchObject(command)
      expect(yield* redis.use((client) => client.get("count"))).toBe("2")
      // @ts-expect-error: a number is no argument.
      expect(yield* Effect.flip(redis.command("SET", ["text", 1]))).toMatchObject({ reason: "Invalid" })
      const thrown = redis.use(() => {
        throw new Error("no command at all")
      })
      expect(yield* Effect.flip(thrown)).toMatchObject({ reason: "Other", detail: "no command at all" })
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("are told without the arguments that a server repeats", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      for (const [name, args, told] of [
        ["UNHEARD-OF", ["hunter2"], "unknown command 'UNHEARD-OF'"],
        ["ACL", ["SETUSER", "app", "<hunter2"], "ACL SETUSER modifier '...'"],
        ["CONFIG", ["SET", "hunter2", "hunter2"], "CONFIG SET - '...'"]
      ] as const) {
        const error = (yield* Effect.flip(redis.command(name, args))) as RedisError.RedisError
        expect(error.message).toContain(told)
        expect(`${error} ${error.stack} ${inspect(error)} ${JSON.stringify(error)}`).not.toContain("hunter2")
      }
    })
  )

  it.scopedLive("are not sent if their caller is interrupted before", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      yield* redis.service.whenConnected()
      let isCalled = false
      const caller = yield* Effect.fork(
        redis.use((client) => {
          isCalled = true
          return client.incr("count")
        })
      )
      yield* Effect.repeat(Effect.yieldNow(), { until: () => isCalled })
      yield* Fiber.interrupt(caller)
      expect(yield* redis.use((client) => client.get("count"))).toBe(null)
    })
  )

  it.scopedLive("beyond maxInFlight wait as their callers, also for those whose callers have left", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { maxInFlight: 1, heartbeat: false })
      yield* redis.service.whenConnected()
      yield* server.pause
      const first = yield* Effect.fork(redis.use((client) => client.incr("first")))
      yield* turns(20)
      yield* Fiber.interrupt(first)
      const second = yield* Effect.fork(redis.use((client) => client.incr("count")))
      yield* turns(20)
      yield* Fiber.interrupt(second)
      const third = yield* Effect.fork(redis.use((client) => client.mGet(["first", "count"])))
      yield* server.resume
      expect(yield* Fiber.join(third)).toEqual(["1", null])
    })
  )

  it.scopedLive(
    "that wait for a place begin in turn, also when what begins throws, and are taken back with their callers",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const redis = yield* connectTo(server.port, { maxInFlight: 1, heartbeat: false })
        yield* redis.service.whenConnected()
        yield* server.pause
        const order: Array<string> = []
        const call = (name: string) =>
          redis.use((client) => {
            order.push(name)
            return client.incr("count")
          })
        const first = yield* Effect.fork(call("first"))
        const thrown = yield* Effect.fork(
          redis.use(() => {
            throw new Error("not today")
          })
        )
        const gone = yield* Effect.fork(call("gone"))
        const second = yield* Effect.fork(call("second"))
        const third = yield* Effect.fork(call("third"))
        yield* turns(3)
        yield* Fiber.interrupt(gone)
        yield* server.resume
        yield* Fiber.join(first)
        expect(yield* Effect.flip(Fiber.join(thrown))).toMatchObject({ reason: "Other", detail: "not today" })
        expect(yield* Fiber.join(second)).toBe(2)
        expect(yield* Fiber.join(third)).toBe(3)
        expect(order).toEqual(["first", "second", "third"])
      })
  )

  it.scopedLive("of one turn of the event loop are sent in one write", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { heartbeat: false })
      yield* redis.service.whenConnected()
      const writes: Array<number> = []
      const prototype: { _writev?: Writev | undefined } = net.Socket.prototype
      const write = prototype._writev
      prototype._writev = function (this: net.Socket, chunks, callback) {
        writes.push(chunks.length)
        write?.call(this, chunks, callback)
      }
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.assign(prototype, { _writev: write })))
      const calls = Array.from({ length: 100 }, () => redis.use((client) => client.incr("count")))
      yield* Effect.all(calls, { concurrency: "unbounded" })
      expect(writes.length).toBe(1)
    })
  )

  it.scopedLive("of a caller that is interrupted are not sent later either", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port, { heartbeat: false })
      let ended: Promise<string> | undefined
      const caller = yield* Effect.fork(
        redis.use((client) => {
          const both = client.blPop("list", 0).then(() => client.incr("count"))
          ended = both.then(
            () => "sent",
            () => "not sent"
          )
          return both
        })
      )
      yield* Effect.repeat(control.command("INFO", ["clients"]), {
        until: (info) => String(info).includes("blocked_clients:1")
      })
      yield* Fiber.interrupt(caller)
      yield* control.use((client) => client.rPush("list", "element"))
      expect(yield* Effect.promise(async () => ended)).toBe("not sent")
      expect(yield* redis.use((client) => client.get("count"))).toBe(null)
    })
  )
})
