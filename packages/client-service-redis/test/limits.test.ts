import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Either, Fiber, Queue, Stream } from "effect"
import type { Redis } from "effect-client-service-redis"
import { turns } from "test-servers/turns"
import { startProxy } from "./support/proxy.js"
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
      const writers: Array<number> = []
      const watch = (caller: number) =>
        redis.watch(
          "key",
          async (client) => {
            await client.get("other")
            reads += 1
            await Effect.runPromise(Deferred.await(gate))
          },
          (client) => {
            writers.push(caller)
            return client.multi().set("other", text)
          }
        )
      const callers = yield* Effect.forEach(Array(6), (_, caller) => Effect.fork(watch(caller)))
      yield* Effect.repeat(turns(1), { until: () => reads === 6 })
      yield* server.pause
      yield* Deferred.succeed(gate, undefined)
      yield* turns(20)
      expect(writers.length).toBe(1)
      // One that leaves is not asked what it would write. Each reads on a connection of its own, so any may be the first.
      const leaving = callers.filter((_, caller) => caller === (writers[0] === 5 ? 4 : 5))
      yield* Fiber.interruptAll(leaving)
      yield* server.resume
      yield* Effect.forEach(
        callers.filter((caller) => !leaving.includes(caller)),
        Fiber.join
      )
      expect(writers.length).toBe(5)
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

  it.scopedLive("readGroup: has its group made and acknowledges while no other call has a place", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port, { maxInFlight: 1, maxWaiting: 0 })
      yield* control.use((client) => client.xAdd("orders", "*", { number: "1" }))
      const gate = yield* Deferred.make<void>()
      const isHeld = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(
        redis.use(() => Effect.runPromise(Effect.zipRight(Deferred.succeed(isHeld, undefined), Deferred.await(gate))))
      )
      yield* Deferred.await(isHeld)
      const overloaded = redis.use((client) => client.get("key"))
      const options = { stream: "orders", group: "billing", consumer: "1", startId: "0" }
      yield* redis.readGroup(options).pipe(
        Stream.take(1),
        Stream.runForEach(({ ack }) => ack)
      )
      expect(yield* control.use((client) => client.xPending("orders", "billing"))).toMatchObject({ pending: 0 })
      expect(yield* Effect.flip(overloaded)).toMatchObject({ reason: "Overloaded" })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(holder)
    })
  )
})

describe.skipIf(isMissing)("an argument", () => {
  it.scopedLive("that the server would close the connection for is not sent, and the others go on", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { ...settings, "proto-max-bulk-len": "1mb" } })
      const redis = yield* connectTo(server.port)
      const large = "x".repeat(mebibyte + 1)
      yield* redis.use((client) => client.set("key", large.slice(1)))
      const calls: Array<Effect.Effect<unknown, Redis.CommandError>> = [
        redis.use((client) => client.set("key", large)),
        redis.use((client) => client.set("key", Buffer.from(large))),
        redis.use((client) => client.get("é".repeat(mebibyte / 2 + 1))),
        redis.command("SET", ["key", large]),
        redis.pipeline((client) => client.multi().incr("count").set("key", large)),
        redis.transaction((client) => client.multi().incr("count").set("key", large)),
        redis.use((client) => client.blPop(large, 0)),
        redis.watch(
          "key",
          (client) => client.get("key"),
          (client) => client.multi().incr("count").set("key", large)
        ),
        redis.session(({ run }) => run((client) => client.set("key", large)))
      ]
      calls.push(
        redis.watch(
          ["key", large],
          (client) => client.get("key"),
          (client) => client.multi().incr("count")
        )
      )
      for (const call of calls) {
        const others = Array.from({ length: 10 }, () => redis.use((client) => client.incr("others")))
        const [refused] = yield* Effect.all([Effect.flip(call), ...others], { concurrency: "unbounded" })
        expect(refused).toMatchObject({ _tag: "RedisError", reason: "Invalid" })
      }
      expect(yield* redis.use((client) => client.mGet(["others", "count"]))).toEqual([`${10 * calls.length}`, null])
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("that is the name of a subscription, and can't be sent, ends that one and none else", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { ...settings, "proto-max-bulk-len": "1mb" } })
      const redis = yield* connectTo(server.port)
      const elements = yield* Queue.unbounded<unknown>()
      yield* redis.subscribe("news", { subscribed: () => "subscribed", gap: () => "gap" }).pipe(
        Stream.runForEach((element) => Queue.offer(elements, element)),
        Effect.forkScoped
      )
      expect(yield* Queue.take(elements)).toBe("subscribed")
      const large = "x".repeat(mebibyte + 1)
      const none: string = JSON.parse("1")
      for (const name of [large, none]) {
        const group = { stream: name, group: "g", consumer: "c" }
        for (const stream of [
          redis.subscribe([name]),
          redis.psubscribe(["news", name]),
          redis.ssubscribe([name]),
          ...(name === large ? [redis.readGroup(group), redis.readGroup({ ...group, startId: "0" })] : [])
        ]) {
          expect(yield* Effect.flip(Stream.runDrain<unknown, unknown, never>(stream))).toMatchObject({
            reason: "Invalid"
          })
        }
      }
      yield* redis.use((client) => client.publish("news", "hello"))
      expect(yield* Queue.take(elements)).toEqual({ channel: "news", message: "hello" })
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("that the server would close the connection for as it keeps it is not sent", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { ...settings, "client-query-buffer-limit": "2mb" } })
      const redis = yield* connectTo(server.port)
      const large = "x".repeat(2 * mebibyte)
      for (const call of [
        redis.use((client) => client.set("key", large)),
        redis.transaction((client) => client.multi().incr("count").set("key", large))
      ]) {
        const others = Array.from({ length: 10 }, () => redis.use((client) => client.incr("others")))
        const [refused] = yield* Effect.all([Effect.flip<unknown, Redis.CommandError, never>(call), ...others], {
          concurrency: "unbounded"
        })
        expect(refused).toMatchObject({ _tag: "RedisError", reason: "Invalid" })
      }
      // Of several, it looks at each, as servers did before 7.4.
      const most = large.slice(32 * 1024)
      yield* redis.transaction((client) => client.multi().set("a", most).set("b", most).set("c", most))
      expect(yield* redis.use((client) => client.exists("count"))).toBe(0)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  for (const [what, pattern, text] of [
    ["Redis since 7.4", /redis_version:7\.\d/, "redis_version:7.4"],
    ["Valkey since 8", "redis_git_sha1:00000000", "valkey_version:8.0.0   "]
  ] as const) {
    it.scopedLive(`is not sent in a transaction that is too large for ${what} to keep`, () =>
      Effect.gen(function* () {
        const server = yield* startServer({ settings: { ...settings, "client-query-buffer-limit": "2mb" } })
        // As long as what it is in the place of, for the answer to have the length that it tells.
        const proxy = yield* startProxy(server.port, { answered: (data) => data.replace(pattern, text) })
        const redis = yield* connectTo(proxy.port)
        const half = "x".repeat(mebibyte - 100 * 1024)
        yield* redis.transaction((client) => client.multi().set("a", half).set("b", half))
        const calls: ReadonlyArray<Effect.Effect<unknown, Redis.CommandError>> = [
          redis.transaction((client) => client.multi().set("a", half).set("b", half).set("c", half)),
          redis.watch(
            "key",
            (client) => client.get("key"),
            (client) => client.multi().set("a", half).set("b", half).set("c", half)
          ),
          redis.session(({ run }) =>
            run((client) => client.multi().set("a", half).set("b", half).set("c", half).exec())
          ),
          redis.transaction((client) => {
            const multi = client.multi()
            for (let i = 0; i < 4000; i++) multi.set("ü".repeat(200), "ü".repeat(100))
            return multi
          })
        ]
        for (const call of calls) {
          const [refused] = yield* Effect.all([Effect.flip(call), redis.use((client) => client.incr("others"))], {
            concurrency: "unbounded"
          })
          expect(refused).toMatchObject({ _tag: "RedisError", reason: "Invalid" })
        }
        yield* redis.pipeline((client) => client.multi().set("a", half).set("b", half).set("c", half))
        expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )
  }

  it.scopedLive("that is empty, binary, one of very many or none is no trouble to those that come after it", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings })
      const redis = yield* connectTo(server.port)
      yield* redis.use((client) => client.set("", ""))
      yield* redis.use((client) => client.set("a\0b", Buffer.from([0, 255, 13, 10])))
      const many = Array.from({ length: 300_000 }, (_, index) => `${index}`)
      for (const [call, answer] of [
        [redis.use((client) => client.get("")), ""],
        [redis.use((client) => client.strLen("a\0b")), 4],
        [redis.use((client) => client.del(many)), 0],
        [redis.transaction((client) => client.multi()), []],
        [redis.pipeline((client) => client.multi()), []]
      ] as const) {
        const [own, ping] = yield* Effect.all([call, redis.command("ECHO", ["after"])], { concurrency: "unbounded" })
        expect([own, ping]).toEqual([answer, "after"])
      }
      for (const call of [
        redis.use((client) => client.sendCommand([])),
        redis.pipeline((client) => client.multi().get("key").addCommand([])),
        redis.transaction((client) => client.multi().get("key").addCommand([])),
        redis.command("")
      ]) {
        const [own, ping] = yield* Effect.all([Effect.flip(call), redis.command("ECHO", ["after"])], {
          concurrency: "unbounded"
        })
        expect([own, ping]).toMatchObject([{ reason: expect.stringMatching("Invalid|Command") }, "after"])
      }
    })
  )
})

// A server limits what waits for a client that has subscribed, by default to 32 MB.
describe.skipIf(isMissing)("a server that closes a connection for what waits for it", () => {
  const limit = "normal 0 0 0 replica 0 0 0 pubsub 4mb 0 0"
  const start = startServer({ settings: { ...settings, "client-output-buffer-limit": limit } })
  const marks = { subscribed: () => "subscribed", gap: (reason: string) => reason }

  /** Its elements, as they come. */
  const heard = (redis: Redis.Service) =>
    Effect.gen(function* () {
      const elements = yield* Queue.unbounded<unknown>()
      yield* redis.subscribe("news", marks).pipe(
        Stream.runForEach((element) => Queue.offer(elements, element)),
        Effect.forkScoped
      )
      expect(yield* Queue.take(elements)).toBe("subscribed")
      return elements
    })

  it.scopedLive("does not close that of commands, whose replies are large, for a subscription", () =>
    Effect.gen(function* () {
      const server = yield* start
      const redis = yield* connectTo(server.port)
      yield* redis.use((client) => client.set("large", "x".repeat(8 * mebibyte)))
      const elements = yield* heard(redis)
      expect((yield* redis.use((client) => client.get("large")))?.length).toBe(8 * mebibyte)
      yield* redis.use((client) => client.publish("news", "hello"))
      expect(yield* Queue.take(elements)).toEqual({ channel: "news", message: "hello" })
    })
  )

  it.scopedLive("for a message that is too large has its subscribers told of a gap, and harms no command", () =>
    Effect.gen(function* () {
      const server = yield* start
      const redis = yield* connectTo(server.port)
      const elements = yield* heard(redis)
      const popped = yield* Effect.fork(redis.use((client) => client.blPop("jobs", 0)))
      for (let i = 0; i < 3; i++) {
        expect(yield* redis.use((client) => client.publish("news", "x".repeat(5 * mebibyte)))).toBe(1)
        expect(yield* Queue.take(elements)).toBe("Reconnected")
      }
      yield* redis.use((client) => client.publish("news", "hello"))
      expect(yield* Queue.take(elements)).toEqual({ channel: "news", message: "hello" })
      yield* redis.use((client) => client.lPush("jobs", "job"))
      expect(yield* Fiber.join(popped)).toEqual({ key: "jobs", element: "job" })
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )
})
