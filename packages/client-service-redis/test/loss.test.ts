import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Queue, Scope } from "effect"
import { type ClientService, ConnectionError } from "effect-client-service"
import type { Redis } from "effect-client-service-redis"
import * as serverProcess from "test-servers/serverProcess"
import { turns } from "test-servers/turns"
import { startProxy } from "./support/proxy.js"
import { blocked, connectTo, isMissing, startServer, until } from "./support/servers.js"

const { ConnectionLost, HeartbeatTimeout } = ConnectionError

/** How many sockets this process has. */
const sockets = (): number => process.getActiveResourcesInfo().filter((type) => type === "TCPSocketWrap").length

describe.skipIf(isMissing)("a server", () => {
  it.scopedLive("may be down at the start", () =>
    Effect.gen(function* () {
      const port = yield* serverProcess.freePort
      const redis = yield* connectTo(port)
      const call = yield* Effect.fork(redis.use((client) => client.incr("count")))
      expect(yield* Effect.flip(redis.service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({
        _tag: "RedisError",
        reason: "Refused",
        code: "ECONNREFUSED"
      })
      yield* startServer({ port })
      expect(yield* Fiber.join(call)).toBe(1)
    })
  )

  it.scopedLive("is killed under load: what it acknowledged was done, and nothing twice", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const acknowledged = new Set<string>()
      const unknown = new Set<string>()
      const acknowledgements = yield* Queue.unbounded<void>()
      let isDone = false

      const plain = (entry: string) => redis.use((client) => client.rPush("entries", entry))
      const counted = (entry: string) =>
        redis.transaction((client) => client.multi().rPush("entries", entry).incr("count"))
      // One that may have been made is made again, marked as another attempt at it.
      const enter = (
        make: (entry: string) => Effect.Effect<unknown, Redis.CommandError>,
        entry: string,
        attempt = 1
      ): Effect.Effect<void, Redis.CommandError> => {
        const text = `${entry} ${attempt}`
        return make(text).pipe(
          Effect.flatMap(() => {
            acknowledged.add(text)
            return Queue.offer(acknowledgements, undefined)
          }),
          Effect.catchTag("ConnectionLost", () => {
            unknown.add(text)
            return enter(make, entry, attempt + 1)
          })
        )
      }
      let entries = 0
      const load = yield* Effect.fork(
        Effect.all(
          [plain, counted, plain, counted].map((make, caller) =>
            Effect.whileLoop({
              while: () => !isDone,
              body: () => enter(make, `${make === counted ? "counted" : "plain"} ${caller} ${entries++}`),
              step: () => {}
            })
          ),
          { concurrency: "unbounded" }
        )
      )
      for (let kill = 0; kill < 3; kill++) {
        yield* Effect.repeatN(Queue.take(acknowledgements), 100)
        yield* server.kill
        yield* server.start
        yield* Queue.takeAll(acknowledgements)
      }
      yield* Effect.repeatN(Queue.take(acknowledgements), 100)
      isDone = true
      yield* Fiber.join(load)

      const made = yield* redis.use((client) => client.lRange("entries", 0, -1))
      const count = yield* redis.use((client) => client.get("count"))
      expect(unknown.size).toBeGreaterThan(0)
      expect([...acknowledged].filter((text) => !made.includes(text))).toEqual([])
      expect(new Set(made).size).toBe(made.length)
      expect(made.filter((text) => !acknowledged.has(text) && !unknown.has(text))).toEqual([])
      expect(Number(count)).toBe(made.filter((text) => text.startsWith("counted")).length)
    })
  )

  it.scopedLive("is away: all that wait for a connection do so for no longer than maxWait", () =>
    Effect.gen(function* () {
      const port = yield* serverProcess.freePort
      const redis = yield* connectTo(port)
      const calls = (options: ClientService.UseOptions) => [
        redis.use((client) => client.incr("count"), options),
        redis.command("INCR", ["count"], options),
        redis.pipeline((client) => client.multi().incr("count"), options),
        redis.transaction((client) => client.multi().incr("count"), options)
      ]
      for (const maxWait of [0, "20 millis"] as const) {
        for (const call of calls({ maxWait })) {
          expect(yield* Effect.flip(call)).toMatchObject({
            _tag: "NotConnected",
            service: `redis://127.0.0.1:${port}`,
            state: { _tag: expect.stringMatching("Connecting|Waiting") }
          })
        }
      }
      const patient = yield* Effect.fork(Effect.all(calls({ maxWait: "1 hour" }), { concurrency: "unbounded" }))
      const server = yield* startServer({ port })
      expect((yield* Fiber.join(patient)).flat().map(Number).sort()).toEqual([1, 2, 3, 4])

      // There is a connection, though its server does not answer.
      yield* server.pause
      const asking = yield* Effect.fork(redis.use((client) => client.get("count"), { maxWait: 0 }))
      yield* turns(20)
      expect(asking.unsafePoll()).toBe(null)
      yield* server.resume
      expect(yield* Fiber.join(asking)).toBe("4")
      expect(() => redis.command("PING", [], { maxWait: -1 })).toThrow("maxWait must be")
    })
  )

  it.scopedLive("is paused for longer than the heartbeat waits, and goes on", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { heartbeat: { interval: "50 millis", timeout: "500 millis" } })
      yield* redis.service.whenConnected()
      yield* server.pause
      const error = yield* Effect.flip(redis.use((client) => client.incr("count")))
      expect(error).toMatchObject({ _tag: "ConnectionLost", cause: expect.any(HeartbeatTimeout) })
      const later = yield* Effect.fork(redis.use((client) => client.incr("other")))
      yield* server.resume
      expect(yield* Fiber.join(later)).toBe(1)
    })
  )

  it.scopedLive("takes longer for an answer than the heartbeat waits, of which it sends all the while", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { appendonly: "no" } })
      const { links, port } = yield* startProxy(server.port, {})
      const redis = yield* connectTo(port, { heartbeat: { interval: "10 millis", timeout: "300 millis" } })
      yield* redis.use((client) => client.set("large", "x".repeat(2_000_000)))
      const upstream = links[0]?.server
      upstream?.on("data", () => {
        upstream.pause()
        setTimeout(() => upstream.resume(), 30)
      })
      expect((yield* redis.use((client) => client.get("large")))?.length).toBe(2_000_000)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("kills the connection that a command has of its own, and the others go on", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const caller = yield* blocked(redis, control, "list")
      const id = yield* Effect.map(control.command("CLIENT", ["LIST"]), (list) =>
        /id=(\d+).*cmd=blpop/.exec(String(list))
      )
      yield* control.command("CLIENT", ["KILL", "ID", id?.[1] ?? ""])
      const error = yield* Effect.flip(Fiber.join(caller))
      expect(error).toBeInstanceOf(ConnectionLost)
      expect(error).toMatchObject({ cause: { _tag: "RedisError", reason: "Lost" } })
      expect(yield* redis.use((client) => client.incr("count"))).toBe(1)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  it.scopedLive("kills the connection of a client", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const id = String(yield* redis.command("CLIENT", ["ID"]))
      const caller = yield* blocked(redis, control, "list")
      yield* control.command("CLIENT", ["KILL", "ID", id])
      const error = yield* Effect.flip(Fiber.join(caller))
      expect(error).toBeInstanceOf(ConnectionLost)
      expect(error).toMatchObject({ cause: { _tag: "RedisError", reason: "Lost" } })
      expect(yield* redis.use((client) => client.incr("count"))).toBe(1)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
      // It went with it.
      yield* control.use((client) => client.rPush("list", "element"))
      expect(yield* redis.use((client) => client.lLen("list"))).toBe(1)
    })
  )

  it.scopedLive("is stopped cleanly, and started again", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const caller = yield* blocked(redis, control, "list")
      yield* server.stop
      expect(yield* Effect.flip(Fiber.join(caller))).toBeInstanceOf(ConnectionLost)
      yield* until(redis, "Waiting")
      const later = yield* Effect.fork(redis.use((client) => client.incr("count")))
      yield* server.start
      expect(yield* Fiber.join(later)).toBe(1)
    })
  )

  it.scopedLive("is down while a hundred thousand commands come: they wait as their callers, and leave with them", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      yield* redis.service.whenConnected()
      yield* server.kill
      yield* until(redis, "Waiting")
      let calls = 0
      const call = redis.use((client) => {
        calls += 1
        return client.incr("count")
      })
      const thousand = Effect.gen(function* () {
        const callers = yield* Effect.forEach(Array(1000), () => Effect.fork(call))
        yield* Effect.yieldNow()
        yield* Fiber.interruptAll(callers)
      })
      yield* Effect.repeatN(thousand, 99)
      const last = yield* Effect.fork(call)
      yield* server.start
      expect(yield* Fiber.join(last)).toBe(1)
      expect(calls).toBe(1)
    })
  )

  it.scopedLive("gets to answer what was sent before its client stops, but no longer than linger", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { linger: "50 millis", closeTimeout: "1 hour" })
      const { client } = yield* redis.service.whenConnected()
      const answer = client.incr("count")
      yield* redis.service.stop
      expect(yield* Effect.promise(() => answer)).toBe(1)
      yield* redis.service.start
      const next = yield* redis.service.whenConnected()
      yield* server.pause
      const none = next.client.incr("count").catch(() => "no answer")
      yield* redis.service.stop
      expect(yield* Effect.promise(() => none)).toBe("no answer")
    })
  )

  it.scopedLive("has no connection of a service that is stopped, and no socket is left of it here", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      yield* control.service.whenConnected()
      const before = sockets()
      const scope = yield* Scope.make()
      const redis = yield* Scope.extend(connectTo(server.port), scope)
      const caller = yield* blocked(redis, control, "list")
      yield* control.use((client) => client.rPush("list", "element"))
      yield* Fiber.join(caller)
      yield* Scope.close(scope, Exit.void)
      expect(yield* Effect.flip(redis.use((client) => client.incr("count")))).toMatchObject({ _tag: "ServiceStopped" })
      yield* Effect.repeat(control.command("INFO", ["clients"]), {
        until: (info) => String(info).includes("connected_clients:1\r")
      })
      yield* turns(3)
      expect(sockets()).toBe(before)
    })
  )
})
