import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue, type Scope, Stream } from "effect"
import type { Redis } from "effect-client-service-redis"
import { turns } from "test-servers/turns"
import { connectTo, isMissing, startServer } from "./support/servers.js"

const marks = {
  subscribed: () => "subscribed" as const,
  gap: (reason: "Reconnected" | "Overflow") => `gap: ${reason}` as const
}

/** Runs a stream in the Scope, and gives what it emits. */
const elementsOf = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<Queue.Dequeue<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const elements = yield* Queue.unbounded<A>()
    yield* Effect.forkScoped(Stream.runForEach(stream, (element) => Queue.offer(elements, element)))
    return elements
  })

const publish = (redis: Redis.Service, channel: string, message: string) =>
  redis.use((client) => client.publish(channel, message))

const message = (channel: string, message: string) => ({ channel, message })

describe.skipIf(isMissing)("a subscription", () => {
  it.scopedLive("goes on across a restart of the server: all that is published after the gap is seen", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const elements = yield* elementsOf(redis.subscribe(["news", "sport"], marks))
      expect(yield* Queue.take(elements)).toBe("subscribed")
      // By the same service, whose commands have a connection of their own.
      yield* publish(redis, "news", "first")
      yield* publish(redis, "sport", "second")
      expect(yield* Queue.takeN(elements, 2).pipe(Effect.map((taken) => [...taken]))).toEqual([
        message("news", "first"),
        message("sport", "second")
      ])
      for (const end of [server.kill, server.stop, server.kill]) {
        yield* end
        yield* server.start
        expect(yield* Queue.take(elements)).toBe("gap: Reconnected")
        expect(yield* publish(redis, "sport", "third")).toBe(1)
        expect(yield* publish(redis, "news", "fourth")).toBe(1)
        expect(yield* Queue.take(elements)).toEqual(message("sport", "third"))
        expect(yield* Queue.take(elements)).toEqual(message("news", "fourth"))
      }
    })
  )

  it.scopedLive("sees what is published by the function that gives its first element", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const subscribed = () => Effect.runFork(publish(redis, "news", "by itself"))
      const elements = yield* elementsOf(redis.subscribe("news", { subscribed }))
      const [, second] = yield* Effect.timeout(Queue.takeN(elements, 2), "5 seconds")
      expect(second).toEqual(message("news", "by itself"))
    })
  )

  it.scopedLive("may be to patterns", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const elements = yield* elementsOf(redis.psubscribe("news.*", marks))
      expect(yield* Queue.take(elements)).toBe("subscribed")
      yield* publish(redis, "sport.today", "none of these")
      yield* publish(redis, "news.today", "hello")
      expect(yield* Queue.take(elements)).toEqual({ pattern: "news.*", channel: "news.today", message: "hello" })
    })
  )

  it.scopedLive("gives the bytes that were published, if it is asked for, and text to others", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const bytes = Buffer.from("a1a2a3ff00", "hex")
      for (const kind of ["subscribe", "psubscribe"] as const) {
        const binary = yield* elementsOf(redis[kind]("news", { ...marks, bytes: true }))
        const text = yield* elementsOf(redis[kind]("news", marks))
        expect(yield* Queue.take(binary)).toBe("subscribed")
        expect(yield* Queue.take(text)).toBe("subscribed")
        yield* redis.use((client) => client.publish("news", bytes))
        const { message } = (yield* Queue.take(binary)) as Redis.Message<Uint8Array>
        expect(Buffer.from(message).toString("hex")).toBe("a1a2a3ff00")
        expect(message.constructor).toBe(Uint8Array)
        expect(yield* Queue.take(text)).toMatchObject({ channel: "news", message: bytes.toString() })
      }
    })
  )

  it.scopedLive("may be to sharded channels, across a restart of the server", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const spublish = (text: string) => redis.use((client) => client.sPublish("news", text))
      const elements = yield* elementsOf(redis.ssubscribe("news", marks))
      expect(yield* Queue.take(elements)).toBe("subscribed")
      yield* spublish("first")
      yield* publish(redis, "news", "none of these")
      expect(yield* Queue.take(elements)).toEqual(message("news", "first"))
      yield* server.kill
      yield* server.start
      expect(yield* Queue.take(elements)).toBe("gap: Reconnected")
      yield* spublish("second")
      expect(yield* Queue.take(elements)).toEqual(message("news", "second"))
      yield* Effect.scoped(Effect.tap(elementsOf(redis.ssubscribe("sport", marks)), Queue.take))
      expect(yield* redis.command("PUBSUB", ["SHARDCHANNELS"])).toEqual(["news"])
    })
  )

  it.scopedLive("may be one of several to a channel, which come and go", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const channels = redis.command("PUBSUB", ["CHANNELS"])
      const first = yield* elementsOf(redis.subscribe("news", marks))
      expect(yield* Queue.take(first)).toBe("subscribed")
      // One that leaves before it is confirmed.
      const second = yield* Effect.fork(Stream.runDrain(redis.subscribe(["news", "sport"], marks)))
      yield* turns(1)
      yield* Fiber.interrupt(second)
      const third = yield* elementsOf(redis.subscribe("sport", marks))
      expect(yield* Queue.take(third)).toBe("subscribed")
      yield* publish(redis, "news", "hello")
      yield* publish(redis, "sport", "hello")
      expect(yield* Queue.take(first)).toEqual(message("news", "hello"))
      expect(yield* Queue.take(third)).toEqual(message("sport", "hello"))
      const fourth = yield* Effect.scoped(Effect.tap(elementsOf(redis.subscribe("news", marks)), Queue.take))
      yield* publish(redis, "news", "again")
      expect(yield* Queue.take(first)).toEqual(message("news", "again"))
      expect(yield* Queue.size(fourth)).toBe(0)
      expect(yield* channels).toEqual(expect.arrayContaining(["news", "sport"]))
    })
  )

  it.scopedLive("ends on the server with its consumer", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      yield* Stream.runHead(redis.subscribe("news", marks))
      expect(yield* redis.command("PUBSUB", ["CHANNELS"])).toEqual([])
    })
  )

  it.scopedLive("of a slow consumer keeps bufferSize messages, then drops some and has a gap in their place", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const isReading = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const elements: Array<unknown> = []
      const consumer = yield* redis.subscribe("news", { ...marks, bufferSize: 2 }).pipe(
        Stream.tap((element) =>
          element === "subscribed"
            ? Effect.zipRight(Deferred.succeed(isReading, undefined), Deferred.await(goOn))
            : Effect.void
        ),
        Stream.takeUntil((element) => typeof element === "object" && element.message === "last"),
        Stream.runForEach((element) => Effect.sync(() => elements.push(element))),
        Effect.fork
      )
      yield* Deferred.await(isReading)
      const quick = yield* elementsOf(redis.subscribe("news", marks))
      expect(yield* Queue.take(quick)).toBe("subscribed")
      for (const text of ["1", "2", "3", "4"]) {
        yield* publish(redis, "news", text)
        expect(yield* Queue.take(quick)).toEqual(message("news", text))
      }
      yield* Deferred.succeed(goOn, undefined)
      yield* Effect.repeat(Effect.yieldNow(), { until: () => elements.includes("gap: Overflow") })
      yield* publish(redis, "news", "last")
      yield* Fiber.join(consumer)
      expect(elements).toEqual([
        "subscribed",
        message("news", "1"),
        message("news", "2"),
        "gap: Overflow",
        message("news", "last")
      ])
    })
  )

  it.scopedLive("fails with what the server refuses it with, and the connection stays", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { user: "default on nopass ~* +@all resetchannels &news" } })
      const redis = yield* connectTo(server.port)
      const news = yield* elementsOf(redis.subscribe("news", marks))
      expect(yield* Queue.take(news)).toBe("subscribed")
      const refused = yield* Effect.flip(Stream.runDrain(redis.subscribe(["news", "secrets"], marks)))
      expect(refused).toMatchObject({ _tag: "RedisError", code: "NOPERM" })
      yield* publish(redis, "news", "hello")
      expect(yield* Queue.take(news)).toEqual(message("news", "hello"))
      yield* redis.command("ACL", ["SETUSER", "default", "allchannels"])
      expect(yield* Stream.runHead(redis.subscribe("secrets", marks))).toMatchObject({ value: "subscribed" })
    })
  )

  it.scopedLive("waits for a server that can't do it now", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { "busy-reply-threshold": "1" } })
      const redis = yield* connectTo(server.port, { heartbeat: false })
      const control = yield* connectTo(server.port, { heartbeat: false })
      yield* Effect.all([redis.service.whenConnected(), control.service.whenConnected()])
      yield* Effect.fork(control.command("EVAL", ["while true do end", "0"]))
      const busy = Effect.flip(redis.command("GET", ["key"]))
      yield* Effect.eventually(busy)
      const elements = yield* elementsOf(redis.subscribe("news", marks))
      yield* Effect.repeatN(busy, 300)
      yield* redis.command("SCRIPT", ["KILL"])
      expect(yield* Queue.take(elements)).toBe("subscribed")
      expect(yield* redis.command("INFO", ["commandstats"])).toMatch(/cmdstat_subscribe:.*rejected_calls=[1-9]/)
    })
  )

  it.scopedLive("fails when the service is stopped", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const consumer = yield* Effect.fork(
        Stream.runForEach(redis.subscribe("news", marks), () => Effect.forkDaemon(redis.service.stop))
      )
      expect(yield* Effect.flip(Fiber.join(consumer))).toMatchObject({ _tag: "ServiceStopped" })
    })
  )
})
