import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Either, Fiber, Stream } from "effect"
import type { Redis } from "effect-client-service-redis"
import { turns } from "test-servers/turns"
import { connectTo, isMissing, startServer } from "./support/servers.js"

const mebibyte = 1024 * 1024

const settings = { appendonly: "no" }

describe.skipIf(isMissing)("a server that does not read", () => {
  it.scopedLive("has no more bytes wait for it than maxInFlightBytes, whatever callers set", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const redis = yield* connectTo(server.port, { heartbeat: false })
      yield* redis.service.whenConnected()
      yield* server.pause
      const before = process.memoryUsage().arrayBuffers
      let made = 0
      const value = () => {
        made += 1
        return Buffer.alloc(mebibyte, 1)
      }
      const callers = yield* Effect.forEach(Array(1000), (_, i) =>
        Effect.fork<unknown, Redis.CommandError, never>(
          i % 2 === 0
            ? redis.use((client) => client.set("key", value()))
            : redis.transaction((client) => client.multi().set("key", value()))
        )
      )
      yield* turns(20)
      expect(made).toBe(64)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * mebibyte)
      // Those that leave make room once they are answered, or are taken back.
      yield* Fiber.interruptAll(callers.slice(100))
      yield* server.resume
      yield* Effect.forEach(callers.slice(0, 100), Fiber.join)
      expect(made).toBe(100)
      expect(yield* redis.use((client) => client.strLen("key"))).toBe(mebibyte)
    })
  )

  it.scopedLive("counts what a pipeline, a command by its name and a text are", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const redis = yield* connectTo(server.port, { heartbeat: false, maxInFlightBytes: mebibyte })
      const text = "é".repeat(mebibyte / 2)
      for (const large of [
        redis.use((client) => client.set("key", text)),
        redis.command("SET", ["key", text]),
        redis.pipeline((client) => client.multi().get("key").set("key", text)),
        redis.transaction((client) => client.multi().get("key").set("key", text)),
        redis.use(async (client) => {
          await Promise.resolve()
          return client.withTypeMapping({}).set("key", text)
        })
      ]) {
        yield* redis.service.whenConnected()
        yield* server.pause
        const first = yield* Effect.fork(large)
        yield* turns(3)
        let hasBegun = false
        const second = yield* Effect.fork(
          redis.use((client) => {
            hasBegun = true
            return client.get("key")
          })
        )
        yield* turns(3)
        expect(hasBegun).toBe(false)
        yield* server.resume
        yield* Fiber.join(first)
        expect(yield* Fiber.join(second)).toBe(text)
      }
      // Several at a time, each of which is too large for another.
      yield* Effect.forEach(Array(20), () => redis.use((client) => client.set("key", text)), {
        concurrency: "unbounded"
      })
    })
  )

  it.scopedLive("has no more callers wait than maxWaiting: the others fail at once", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { heartbeat: false, maxInFlight: 1, maxWaiting: 2 })
      yield* redis.service.whenConnected()
      yield* server.pause
      const call = redis.use((client) => client.incr("count"))
      const callers = yield* Effect.forEach(Array(3), () => Effect.fork(call))
      yield* turns(3)
      expect(yield* Effect.flip(call)).toMatchObject({ _tag: "RedisError", reason: "Overloaded" })
      const connection = yield* redis.service.whenConnected()
      const run = connection.run((client) => client.incr("count"))
      expect(yield* Effect.flip(run)).toMatchObject({ _tag: "RedisError", reason: "Overloaded" })
      // One that leaves makes room for another.
      yield* Fiber.interruptAll(callers.slice(2))
      const later = yield* Effect.fork(Effect.either(call))
      yield* turns(3)
      expect(yield* Effect.flip(call)).toMatchObject({ reason: "Overloaded" })
      yield* server.resume
      expect(yield* Fiber.join(later)).toEqual(Either.right(3))
      expect(yield* call).toBe(4)
    })
  )
})

describe.skipIf(isMissing)("what has a connection of its own", () => {
  // Kind 8
  it.scopedLive("watch: is counted, by number and by bytes, step by step", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const redis = yield* connectTo(server.port, { heartbeat: false, maxInFlightBytes: mebibyte })
      const text = "x".repeat(mebibyte)
      const gate = yield* Deferred.make<void>()
      let reads = 0
      let writes = 0
      const watch = redis.watch(
        "key",
        async (client) => {
          await client.get("other")
          reads += 1
          await Effect.runPromise(Deferred.await(gate))
        },
        (client) => {
          writes += 1
          return client.multi().set("other", text)
        }
      )
      const callers = yield* Effect.forEach(Array(6), () => Effect.fork(watch))
      yield* Effect.repeat(turns(1), { until: () => reads === 6 })
      yield* server.pause
      yield* Deferred.succeed(gate, undefined)
      yield* turns(20)
      expect(writes).toBe(1)
      // One that leaves is not asked what it would write.
      yield* Fiber.interruptAll(callers.slice(5))
      yield* server.resume
      yield* Effect.forEach(callers.slice(0, 5), Fiber.join)
      expect(writes).toBe(5)
    })
  )

  // Kind 8
  it.scopedLive("watch: has no more callers wait than maxWaiting", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { heartbeat: false, maxInFlight: 1, maxWaiting: 2 })
      yield* redis.service.whenConnected()
      yield* server.pause
      const watch = redis.watch(
        "key",
        (client) => client.get("key"),
        (client) => client.multi().incr("key")
      )
      const callers = yield* Effect.forEach(Array(3), () => Effect.fork(watch))
      yield* turns(3)
      expect(yield* Effect.flip(watch)).toMatchObject({ _tag: "RedisError", reason: "Overloaded" })
      yield* server.resume
      yield* Effect.forEach(callers, Fiber.join)
      expect(yield* redis.use((client) => client.get("key"))).toBe("3")
    })
  )

  // Kind 8
  it.scopedLive("readGroup: no more than maxInFlight read at a time, and others are not kept waiting by them", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const redis = yield* connectTo(server.port, { heartbeat: false, maxInFlight: 1 })
      const read = (consumer: string) =>
        redis
          .readGroup({ stream: "orders", group: "billing", consumer, startId: "0", block: "1 minute" })
          .pipe(Stream.runHead, Effect.flatten, Effect.fork)
      const blocked = Effect.map(
        redis.use((client) => client.info("clients")),
        (info) => Number(/blocked_clients:(\d+)/.exec(info)?.[1])
      )
      const one = yield* read("1")
      yield* Effect.repeat(blocked, { until: (n) => n === 1 })
      const two = yield* read("2")
      yield* turns(20)
      expect(yield* blocked).toBe(1)
      yield* redis.use((client) => client.xAdd("orders", "*", { number: "1" }))
      expect((yield* Fiber.join(one)).fields).toEqual({ number: "1" })
      yield* redis.use((client) => client.xAdd("orders", "*", { number: "2" }))
      expect((yield* Fiber.join(two)).fields).toEqual({ number: "2" })
    })
  )
})
