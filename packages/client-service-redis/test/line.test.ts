import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "@effect/vitest"
import { createClient } from "@redis/client"
import {
  type Context,
  Deferred,
  Duration,
  Effect,
  type Fiber,
  Logger,
  Option,
  Queue,
  Redacted,
  Stream,
  Supervisor,
  TestClock
} from "effect"
import * as Delays from "effect-client-service-driver/Delays"
import type { Redis } from "effect-client-service-redis"
import { vi } from "vitest"
import type { OwnClient } from "../src/internal/ownClients.js"
import { Line } from "../src/internal/subscriptions.js"
import { fromClientError } from "../src/RedisError.js"
import { startProxy } from "./support/proxy.js"
import { connectTo, isMissing, startServer } from "./support/servers.js"

const marks = { subscribed: () => "subscribed", gap: (reason: string) => `gap: ${reason}` }

/** Subscribes in the Scope, and gives what it hears. */
const heard = (redis: Redis.Service) =>
  Effect.gen(function* () {
    const elements = yield* Queue.unbounded<unknown>()
    yield* redis.subscribe("news", marks).pipe(
      Stream.runForEach((element) => Queue.offer(elements, element)),
      Effect.catchAll((error) => Queue.offer(elements, error)),
      Effect.forkScoped
    )
    return elements
  })

/** Expects that it hears, and that the connection of the commands has stayed. */
const goesOn = (redis: Redis.Service, elements: Queue.Dequeue<unknown>) =>
  Effect.gen(function* () {
    yield* redis.use((client) => client.publish("news", "hello"))
    expect(yield* Queue.take(elements)).toEqual({ channel: "news", message: "hello" })
    expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
  })

/** What is logged. */
const logs = () => {
  const told: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => told.push(`${logLevel.label} ${message}`))
  return { told, logged: Effect.provide(Logger.replace(Logger.defaultLogger, logger)) }
}

// That of the commands is the first.
const isFirstLine = (index: number) => index === 1

describe.skipIf(isMissing)("the connection of subscriptions", () => {
  it.scopedLive("may be lost while it opens: there is another", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { links, port } = yield* startProxy(server.port, {
        asked: (data, { client }, index) => {
          if (!isFirstLine(index) || !data.includes("\r\nID\r\n")) return data
          client.destroy()
          return undefined
        }
      })
      const redis = yield* connectTo(port)
      const { logged, told } = logs()
      const elements = yield* logged(heard(redis))
      expect(yield* Queue.take(elements)).toBe("subscribed")
      expect(links.length).toBe(3)
      expect(told).toEqual([expect.stringMatching(/^WARN subscriptions: redis:.* the connection was lost/)])
      yield* goesOn(redis, elements)
    })
  )

  it.scopedLive("may be lost to several subscriptions, of which one warning tells", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { links, port } = yield* startProxy(server.port, {})
      const redis = yield* connectTo(port)
      const { logged, told } = logs()
      const all = yield* logged(Effect.forEach(Array(10), () => heard(redis)))
      for (const elements of all) expect(yield* Queue.take(elements)).toBe("subscribed")
      links.find((_, index) => isFirstLine(index))?.client.destroy()
      for (const elements of all) expect(yield* Queue.take(elements)).toBe("gap: Reconnected")
      expect(told).toEqual([expect.stringMatching(/^WARN subscriptions: redis:/)])
      expect(links.length).toBe(3)
    })
  )

  it.scopedLive("may go silent: it alone is lost, and a subscription that waits for it is made on the next", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      let isSilent = false
      const { port } = yield* startProxy(server.port, {
        asked: (data, _, index) => (isSilent && isFirstLine(index) ? undefined : data)
      })
      const redis = yield* connectTo(port, { heartbeat: { interval: "20 millis", timeout: "1 second" } })
      const elements = yield* heard(redis)
      expect(yield* Queue.take(elements)).toBe("subscribed")
      isSilent = true
      const waiting = yield* Effect.fork(Stream.runHead(redis.subscribe("sport", marks)))
      expect(yield* Queue.take(elements)).toBe("gap: Reconnected")
      expect(yield* waiting).toEqual(Option.some("subscribed"))
      yield* goesOn(redis, elements)
    })
  )

  it.scopedLive("may say what is no RESP: the next one is subscribed", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { links, port } = yield* startProxy(server.port, {})
      const redis = yield* connectTo(port)
      const elements = yield* heard(redis)
      expect(yield* Queue.take(elements)).toBe("subscribed")
      links[1]?.client.write("?what\r\n")
      expect(yield* Queue.take(elements)).toBe("gap: Reconnected")
      yield* goesOn(redis, elements)
    })
  )

  it.scopedLive("asks for the password of the moment, until the service stops", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { requirepass: "right" } })
      const isAsking = yield* Deferred.make<void>()
      const isInterrupted = yield* Deferred.make<void>()
      let reads = 0
      const password = Effect.suspend(() => {
        reads += 1
        if (reads !== 2) return Effect.succeed(Redacted.make("right"))
        return Effect.zipRight(Deferred.succeed(isAsking, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(isInterrupted, undefined))
        )
      })
      const redis = yield* connectTo(server.port, { password })
      yield* heard(redis)
      yield* Deferred.await(isAsking)
      yield* redis.service.stop
      yield* Deferred.await(isInterrupted)
      yield* redis.service.start
      expect(yield* Stream.runHead(redis.subscribe("news", marks))).toEqual(Option.some("subscribed"))
      expect(reads).toBe(4)
    })
  )

  it.scopedLive("keeps nothing of a subscription that has ended", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      expect(yield* Queue.take(yield* heard(redis))).toBe("subscribed")
      const fibers = new Fibers()
      yield* Effect.supervised(Effect.repeatN(Stream.runHead(redis.subscribe("news", marks)), 24), fibers)
      expect(fibers.all.length).toBeGreaterThanOrEqual(25)
      expect(yield* fibers.kept).toBeLessThan(10)
    })
  )
})

describe("the connection of subscriptions", () => {
  const linger = Duration.seconds(1)

  const open = (client: Promise<OwnClient>) => {
    const told: Array<unknown> = []
    let destroyed = 0
    const line = new Line(
      {
        client,
        destroy: () => {
          destroyed += 1
        }
      },
      linger
    )
    line.onLost((error) => told.push(error))
    return { line, told, destroyed: () => destroyed }
  }

  it("that never opens is given up, and who waits for it is told", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    try {
      const { destroyed, line, told } = open(new Promise(() => {}))
      vi.advanceTimersByTime(29_999)
      expect(line.isLost).toBe(false)
      vi.advanceTimersByTime(1)
      expect([line.isLost, destroyed(), told.length]).toEqual([true, 1, 1])
      expect(fromClientError(told[0], "here")).toMatchObject({
        reason: "Lost",
        detail: "no connection for subscriptions within 30000 ms"
      })
      // Whoever comes too late is told at once.
      line.onLost((error) => told.push(error))
      expect(told.length).toBe(2)
    } finally {
      vi.useRealTimers()
    }
  })

  it.effect(
    "takes whatever comes, such as a part of a long message, for an answer to a probe, and is lost once there is neither",
    () =>
      Effect.gen(function* () {
        let heard = 0
        let pong = () => {}
        const base = createClient()
        const client = Object.assign(base, {
          asap: () => client,
          ping: () =>
            new Promise<string>((resolve) => {
              pong = () => resolve("PONG")
            }),
          subscribe: async () => {}
        }) as typeof base
        const own = {
          client,
          owner: client,
          id: 1,
          isOpen: () => true,
          isSpoiled: () => false,
          lastHeard: () => heard,
          spoil: () => {},
          onLost: () => {},
          destroy: () => {}
        }
        const { line, told } = open(Promise.resolve(own as unknown as OwnClient))
        yield* Effect.promise(() => line.add("subscribe", "news", () => {}).confirmed)
        const probe = Effect.suspend(() => line.probe("5 seconds"))
        yield* probe
        yield* TestClock.adjust("4 seconds")
        pong()
        yield* Effect.promise(() => Promise.resolve())
        yield* Effect.yieldNow()
        yield* TestClock.adjust("1 hour")
        expect(line.isLost).toBe(false)
        yield* probe
        for (let i = 0; i < 10; i++) {
          yield* TestClock.adjust("4 seconds")
          heard = yield* Delays.monotonicMillis
          // The one before it is not over.
          yield* probe
        }
        yield* TestClock.adjust("4 seconds")
        expect(line.isLost).toBe(false)
        yield* TestClock.adjust("6 seconds")
        expect(line.isLost).toBe(true)
        expect(fromClientError(told[0], "here").reason).toBe("Lost")
      })
  )
})

// The collector runs when it likes, unless it is made to.
class Fibers extends Supervisor.AbstractSupervisor<void> {
  readonly all: Array<WeakRef<object>> = []

  override get value(): Effect.Effect<void> {
    return Effect.void
  }

  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    _parent: Option.Option<Fiber.RuntimeFiber<unknown, unknown>>,
    fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    this.all.push(new WeakRef(fiber))
  }

  /** How many there are still. */
  readonly kept = Effect.sync(() => {
    setFlagsFromString("--expose-gc")
    runInNewContext("gc")()
    return this.all.filter((reference) => reference.deref() !== undefined).length
  }).pipe(
    Effect.zipLeft(Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))),
    Effect.repeat({ until: (kept) => kept < 10, times: 10 })
  )
}
