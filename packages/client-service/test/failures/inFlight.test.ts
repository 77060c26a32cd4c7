import { describe, expect, it } from "@effect/vitest"
import { Effect, FiberId, Stream } from "effect"
import { ClientService, ClientServiceMap, TestEndpoint } from "effect-client-service"
import { acceptAll, drop, everySecond, held, make, refuseAll } from "./support.js"
import { World } from "./world.js"

describe("queues, subscriptions and what is in flight", () => {
  // Failure 47: What is sent while the client is offline is queued without bound, until the memory is full.
  // Reported: redis/node-redis#932, redis/node-redis#1039, redis/ioredis#76, redis/lettuce#813, redis/lettuce#466,
  // oleksiyk/kafka#68
  it.effect("an hour of callers without a connection is their own fibers, and nothing once they are interrupted", () =>
    Effect.gen(function* () {
      const world = new World()
      const { fibers, server, service } = world.run(make())
      world.run(refuseAll(server, 3601))
      world.run(service.start)
      let ran = 0
      const call = service.use(() =>
        Effect.sync(() => {
          ran += 1
        })
      )
      const callers = Array.from({ length: 3600 }, () => {
        world.pass("1 second")
        return world.fork(call)
      })
      expect([fibers.size, world.clock.sleeping]).toEqual([1, 1])
      const references = callers.splice(0).map((caller) => {
        caller.unsafeInterruptAsFork(FiberId.none)
        return new WeakRef(caller)
      })
      world.settle()
      expect(yield* held(references)).toBe(0)
      world.run(acceptAll(server, 1))
      world.pass("1 second")
      expect(world.run(service.whenConnected())).toBe("protocol 1")
      expect(ran).toBe(0)
      world.close()
    })
  )

  // Failure 48: After a reconnect, subscriptions are lost, or there twice.
  // Reported: enisdenjo/graphql-ws#85, enisdenjo/graphql-ws#99, trpc/trpc#2776, nats-io/stan.js#80,
  // leukipp/touchkio#63, socketio/socket.io#4919
  it("what prepare subscribes to is there once on each connection, and gone before the next", () => {
    const world = new World()
    const happened: Array<string> = []
    const { server, service } = world.run(
      make({
        prepare: (protocol) =>
          Effect.acquireRelease(
            Effect.sync(() => happened.push(`subscribe ${protocol}`)),
            () => Effect.sync(() => happened.push(`unsubscribe ${protocol}`))
          )
      })
    )
    world.run(acceptAll(server, 3))
    world.fork(Stream.runForEach(service.connections, (protocol) => Effect.sync(() => happened.push(protocol))))
    world.run(service.start)
    for (let i = 0; i < 2; i++) {
      world.pass("1 minute")
      world.run(drop(server))
      world.pass("1 second")
    }
    world.run(service.stop)
    expect(happened).toEqual([
      "subscribe protocol 1",
      "protocol 1",
      "unsubscribe protocol 1",
      "subscribe protocol 2",
      "protocol 2",
      "unsubscribe protocol 2",
      "subscribe protocol 3",
      "protocol 3",
      "unsubscribe protocol 3"
    ])
    world.close()
  })

  // Failure 49: Requests in flight when the connection is lost neither fail nor are sent again.
  // Reported: redis/node-redis#1789, civitai/civitai#2556
  it("what uses a connection is interrupted, and fails with ConnectionLost, in the step of the loss", () => {
    const world = new World()
    const { server, service } = world.run(make())
    world.run(server.script(TestEndpoint.accepted("protocol", { close: Effect.never })))
    world.run(service.start)
    let interrupted = 0
    const request = Effect.onInterrupt(Effect.never, () =>
      Effect.sync(() => {
        interrupted += 1
      })
    )
    const requests = Array.from({ length: 100 }, () => world.fork(Effect.flip(service.use(() => request))))
    world.settle()
    // The connection does not close, and nobody waits for it to.
    world.run(drop(server, "cut"))
    const lost = { _tag: "ConnectionLost", service: "test", cause: "cut" }
    for (const request of requests) expect(request.unsafePoll()).toMatchObject({ _tag: "Success", value: lost })
    expect(interrupted).toBe(100)
    world.close()
  })

  // Failure 50: The client goes on retrying though nobody is interested any more.
  // Reported: enisdenjo/graphql-ws#163, enisdenjo/graphql-ws#153
  it("the retries for a key end when nobody has had it for idleTimeToLive", () => {
    const world = new World()
    const server = world.run(TestEndpoint.make<string, string>())
    world.run(refuseAll(server, 10_000))
    const services = world.run(
      ClientServiceMap.make({
        lookup: (_: string) => ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond }),
        idleTimeToLive: "10 seconds"
      })
    )
    for (let i = 0; i < 100; i++) {
      const users = Array.from({ length: 3 }, () =>
        world.fork(Effect.scoped(Effect.zipRight(services.get("feed"), Effect.never)))
      )
      world.pass("1 second")
      for (const user of users) user.unsafeInterruptAsFork(FiberId.none)
      world.settle()
    }
    const before = world.run(server.attempts)
    world.pass("10 seconds")
    expect(world.run(server.attempts)).toBe(before + 9)
    world.pass("1 hour")
    expect(world.run(server.attempts)).toBe(before + 9)
    expect([world.run(services.keys), world.clock.sleeping]).toEqual([[], 0])
    world.close()
  })

  // Failure 51: What was in flight is sent again after the reconnect, and takes effect twice.
  // Reported: socketio/socket.io-client-java#519, redis/ioredis
  it("what a connection was used for is never run a second time", () => {
    for (let steps = 0; ; steps++) {
      const world = new World()
      const { server, service } = world.run(make())
      let lose = () => {}
      world.run(
        server.script((signal, open) => {
          lose = signal.lost
          return Effect.as(open(), "first")
        }, TestEndpoint.accepted("second"))
      )
      const ran: Array<string> = []
      const use = world.fork(
        service.use((protocol) =>
          Effect.zipRight(
            Effect.sync(() => ran.push(protocol)),
            Effect.repeatN(Effect.yieldNow(), 3)
          )
        )
      )
      world.fork(service.start)
      const isOver = world.settle(steps) < steps
      lose()
      world.settle()
      world.pass("1 second")
      world.run(service.whenConnected())
      // At most: it may have lost its connection before it began.
      expect(ran.length).toBeLessThanOrEqual(1)
      expect(use.unsafePoll()).not.toBeNull()
      world.close()
      if (isOver) {
        expect(ran).toEqual(["first"])
        break
      }
    }
  })
})
