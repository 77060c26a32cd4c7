import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Fiber, Queue, type Scope, Stream } from "effect"
import { TestEndpoint } from "effect-client-service"
import { Redis, type RedisConnection, type RedisError } from "effect-client-service-redis"
import { type Link, startProxy } from "./support/proxy.js"
import { connectTo, isMissing, startServer } from "./support/servers.js"

const names = { stream: "orders", group: "billing", consumer: "billing-1" }

const options = { ...names, startId: "0", block: "200 millis" } as const

const add = (redis: Redis.Service, n: number | string) =>
  Effect.map(
    redis.use((client) => client.xAdd("orders", "*", { n: String(n) })),
    String
  )

const pendingOf = (redis: Redis.Service) =>
  Effect.map(
    redis.use((client) => client.xPending("orders", "billing")),
    ({ pending }) => pending
  )

const numberOf = ({ fields }: Redis.GroupEntry) => fields["n"]

/** The first of what a stream gives, of which nothing is acknowledged. */
const first = (redis: Redis.Service, count: number, more: Partial<Redis.ReadGroupOptions<false>> = {}) =>
  Effect.map(Stream.runCollect(Stream.take(redis.readGroup({ ...options, ...more }), count)), Chunk.toReadonlyArray)

/** Runs a stream in the Scope, and gives what it emits. */
const elementsOf = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<Queue.Dequeue<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const elements = yield* Queue.unbounded<A>()
    yield* Effect.forkScoped(Stream.runForEach(stream, (element) => Queue.offer(elements, element)))
    return elements
  })

const isBlocked = (control: Redis.Service, count: number) =>
  Effect.repeat(control.command("INFO", ["clients"]), {
    until: (info) => String(info).includes(`blocked_clients:${count}\r`)
  })

/** The connection on which a consumer waits. */
const idOfReader = (control: Redis.Service) =>
  Effect.repeat(
    Effect.map(control.command("CLIENT", ["LIST"]), (list) => /id=(\d+).*cmd=xreadgroup/.exec(String(list))?.[1] ?? ""),
    { until: (id) => id !== "" }
  )

describe.skipIf(isMissing)("a consumer of a group", () => {
  it.scopedLive("is given every entry across kills of the server, and none again that is acknowledged", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const handed = new Map<string, number>()
      const acknowledged = new Set<string>()
      const again: Array<string> = []
      const acks = yield* Queue.unbounded<void>()
      const consumer = yield* redis.readGroup({ ...options, count: 3 }).pipe(
        Stream.mapEffect(
          ({ ack, id }) =>
            Effect.gen(function* () {
              if (acknowledged.has(id)) again.push(id)
              handed.set(id, (handed.get(id) ?? 0) + 1)
              yield* ack
              acknowledged.add(id)
              yield* Queue.offer(acks, undefined)
            }),
          { concurrency: 5 }
        ),
        Stream.runDrain,
        Effect.fork
      )
      const added: Array<string> = []
      let isDone = false
      const producer = yield* Effect.fork(
        Effect.whileLoop({
          while: () => !isDone,
          body: () =>
            add(redis, added.length).pipe(
              Effect.map((id) => added.push(id)),
              // It may have been added, and is handed out then too.
              Effect.catchTag("ConnectionLost", () => Effect.succeed(0))
            ),
          step: () => {}
        })
      )
      for (let kill = 0; kill < 3; kill++) {
        yield* Effect.repeatN(Queue.take(acks), 50)
        yield* server.kill
        yield* server.start
        yield* Queue.takeAll(acks)
      }
      yield* Effect.repeatN(Queue.take(acks), 50)
      isDone = true
      yield* Fiber.join(producer)
      yield* Effect.repeat(Effect.zip(pendingOf(redis), Effect.yieldNow()), {
        until: ([pending]) => pending === 0 && added.every((id) => acknowledged.has(id))
      })
      yield* Fiber.interrupt(consumer)
      expect(again).toEqual([])
      // Once: what it has, and has not acknowledged yet, it is not given again.
      expect([...handed.values()].every((times) => times === 1)).toBe(true)
      expect(added.length).toBeGreaterThan(200)
    })
  )

  it.scopedLive("is given first what it has not acknowledged, by name, and has a group made that there is not", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const adding = yield* Effect.fork(
        Effect.zipRight(
          isBlocked(redis, 1),
          Effect.forEach([1, 2, 3, 4, 5], (n) => add(redis, n))
        )
      )
      const before = yield* first(redis, 5, { count: 2 })
      yield* Fiber.join(adding)
      expect(before.map(numberOf)).toEqual(["1", "2", "3", "4", "5"])
      yield* Effect.forEach([before[0], before[3]], (entry) => entry?.ack ?? Effect.void)
      yield* redis.use((client) => client.xDel("orders", String(before[1]?.id)))
      yield* add(redis, 6)
      // One that was deleted meanwhile is nobody's to do.
      expect((yield* first(redis, 3, { count: 2 })).map(numberOf)).toEqual(["3", "5", "6"])
      yield* add(redis, 7)
      expect((yield* first(redis, 1, { consumer: "billing-2" })).map(numberOf)).toEqual(["7"])
      expect((yield* first(redis, 3)).map(numberOf)).toEqual(["3", "5", "6"])
    })
  )

  it.scopedLive("leaves the server when it is interrupted: the next entry stays for the others", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      for (let i = 0; i < 5; i++) {
        const consumer = yield* Effect.fork(first(redis, 1, { block: "1 hour" }))
        yield* isBlocked(control, 1)
        expect(yield* redis.use((client) => client.get("key"))).toBe(null)
        yield* Fiber.interrupt(consumer)
        yield* add(redis, i)
        expect(yield* pendingOf(redis)).toBe(0)
        const [entry] = yield* first(redis, 1, { consumer: "billing-2" })
        expect(entry === undefined ? undefined : numberOf(entry)).toBe(String(i))
        yield* entry?.ack ?? Effect.void
      }
      const consumer = yield* Effect.fork(Effect.either(first(redis, 1, { block: "1 hour" })))
      yield* isBlocked(control, 1)
      yield* redis.service.stop
      yield* isBlocked(control, 0)
      expect(yield* Fiber.join(consumer)).toMatchObject({ _tag: "Left", left: { _tag: "ServiceStopped" } })
    })
  )

  it.scopedLive("goes on when the connection that it reads on is closed, or goes silent, and the others with it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port, { heartbeat: false })
      const redis = yield* connectTo(server.port, { heartbeat: false })
      const elements = yield* elementsOf(redis.readGroup({ ...options, timeout: "300 millis" }))
      const one = yield* idOfReader(control)
      yield* control.command("CLIENT", ["KILL", "ID", one])
      yield* add(redis, 1)
      expect(numberOf(yield* Queue.take(elements))).toBe("1")
      const two = yield* idOfReader(control)
      expect(two).not.toBe(one)
      yield* server.pause
      // It has taken its connection for lost when it makes another one; and one that does not open, too.
      yield* Effect.repeatN(nextSocket, 2)
      yield* server.resume
      yield* add(redis, 2)
      expect(numberOf(yield* Queue.take(elements))).toBe("2")
      expect(yield* idOfReader(control)).not.toBe(two)
      // What it has given up is closed: there are the two services, and the one on which it reads.
      yield* Effect.repeat(control.command("INFO", ["clients"]), {
        until: (info) => String(info).includes("connected_clients:3\r")
      })
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("takes longer for entries than it waits, of which they come all the while", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { appendonly: "no" } })
      const slowly = new Set<Link>()
      const { port } = yield* startProxy(server.port, {
        asked: (data, link) => {
          if (data.includes("XREADGROUP") && !slowly.has(link)) {
            slowly.add(link)
            link.server.on("data", () => {
              link.server.pause()
              setTimeout(() => link.server.resume(), 30)
            })
          }
          return data
        }
      })
      const redis = yield* connectTo(port, { heartbeat: false })
      yield* add(redis, "x".repeat(2_000_000))
      const [entry] = yield* first(redis, 1, { block: "50 millis", timeout: "250 millis" })
      expect(entry?.fields["n"]?.length).toBe(2_000_000)
      expect(slowly.size).toBe(1)
    })
  )

  it.scopedLive("may have values as bytes, and entries that are acknowledged when they are given", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const bytes = Buffer.from("a1a2a3ff00", "hex")
      yield* redis.use((client) => client.xAdd("orders", "*", { n: bytes }))
      const [binary] = yield* Effect.map(
        Stream.runCollect(Stream.take(redis.readGroup({ ...options, bytes: true }), 1)),
        Chunk.toReadonlyArray
      )
      expect(Buffer.from(binary?.fields["n"] ?? []).toString("hex")).toBe("a1a2a3ff00")
      expect(binary?.fields["n"]?.constructor).toBe(Uint8Array)
      yield* binary?.ack ?? Effect.void
      yield* add(redis, 1)
      expect((yield* first(redis, 1, { noAck: true })).map(numberOf)).toEqual(["1"])
      expect(yield* pendingOf(redis)).toBe(0)
      yield* add(redis, 2)
      const [entry] = yield* first(redis, 1, { noAck: true })
      yield* entry?.ack ?? Effect.void
      expect(entry === undefined ? undefined : numberOf(entry)).toBe("2")
    })
  )

  it.scopedLive("begins where it is told, and goes on after that when the group is gone", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      yield* add(redis, "before")
      const elements = yield* elementsOf(redis.readGroup({ ...options, startId: "$" }))
      yield* isBlocked(redis, 1)
      yield* add(redis, 1)
      expect(numberOf(yield* Queue.take(elements))).toBe("1")
      yield* isBlocked(redis, 1)
      yield* redis.use((client) => client.xGroupDestroy("orders", "billing"))
      yield* add(redis, 2)
      expect(numberOf(yield* Queue.take(elements))).toBe("2")
      yield* redis.command("FLUSHALL")
      yield* add(redis, 3)
      expect(numberOf(yield* Queue.take(elements))).toBe("3")
    })
  )

  it.scopedLive("waits for a server that makes no group for now", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      yield* control.command("CONFIG", ["SET", "maxmemory", "1"])
      const consumer = yield* Effect.fork(first(redis, 1))
      yield* Effect.repeat(control.command("INFO", ["errorstats"]), {
        until: (info) => Number(/errorstat_OOM:count=(\d+)/.exec(String(info))?.[1]) > 1
      })
      yield* control.command("CONFIG", ["SET", "maxmemory", "0"])
      yield* add(control, 1)
      expect((yield* Fiber.join(consumer)).map(numberOf)).toEqual(["1"])
    })
  )

  it.scopedLive("fails with what the server refuses to read by, and the connection stays", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const refusal = (more: Partial<Redis.ReadGroupOptions<false>>) =>
        Effect.flip(Stream.runDrain(redis.readGroup({ ...names, ...more })))
      expect(yield* refusal({})).toMatchObject({ _tag: "RedisError", reason: "Command", code: "NOGROUP" })
      yield* redis.use((client) => client.set("orders", "none"))
      expect(yield* refusal({ startId: "0" })).toMatchObject({ _tag: "RedisError", code: "WRONGTYPE" })
      yield* redis.use((client) => client.del("orders"))
      yield* redis.command("ACL", ["SETUSER", "default", "-xgroup"])
      expect(yield* refusal({ startId: "0" })).toMatchObject({ _tag: "RedisError", code: "NOPERM" })
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("reads no more than it is asked for, and count entries", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => n),
        (n) => add(redis, n)
      )
      const isReading = yield* Deferred.make<void>()
      const consumer = yield* redis.readGroup({ ...options, count: 7 }).pipe(
        Stream.runForEach(() => Effect.zipRight(Deferred.succeed(isReading, undefined), Effect.never)),
        Effect.fork
      )
      yield* Deferred.await(isReading)
      expect(yield* pendingOf(redis)).toBe(7)
      yield* Fiber.interrupt(consumer)
    })
  )
})

describe("an option of a consumer of a group that makes no sense", () => {
  for (const [more, option] of [
    [{ stream: "" }, "stream"],
    [{ group: " " }, "group"],
    [{ consumer: "" }, "consumer"],
    [{ count: 0 }, "count"],
    [{ block: 0 }, "block"],
    [{ block: Number.POSITIVE_INFINITY }, "block"],
    [{ timeout: 0 }, "timeout"],
    [{ startId: "first" }, "startId"]
  ] as const) {
    it.scoped(`is refused: ${option} ${JSON.stringify(more)}`, () =>
      Effect.gen(function* () {
        const { endpoint } = yield* TestEndpoint.make<RedisConnection.RedisConnection, RedisError.RedisError>()
        const redis = yield* Redis.make({ endpoint })
        const told = { _tag: "InvalidOption", where: "Redis.readGroup", option }
        expect(() => redis.readGroup({ ...names, ...more })).toThrow(expect.objectContaining(told))
      })
    )
  }
})

/** Waits until this process makes a connection. */
const nextSocket = Effect.async<void>((resume) => {
  const onSocket = () => {
    unsubscribe("net.client.socket", onSocket)
    resume(Effect.void)
  }
  subscribe("net.client.socket", onSocket)
})
