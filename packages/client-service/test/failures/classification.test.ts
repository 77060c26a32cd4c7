import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, FiberId } from "effect"
import { ClientService, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { makeSocket } from "../support/memorySocket.js"
import { counts, everySecond, halfOpen, make } from "./support.js"
import { World } from "./world.js"

describe("failures, credentials and addresses", () => {
  // Failure 35: That the client can't connect at first stays hidden for ever.
  // Reported: twisted/twisted#9116, redis/ioredis#1268
  it("a waiter fails with the n-th failure from when it began to wait", () => {
    const world = new World()
    const { server, service } = world.run(make())
    world.run(server.script(...["first", "second", "third", "fourth", "fifth"].map(TestEndpoint.refused)))
    const wait = (failAfterFailures: number) => world.fork(service.whenConnected({ failAfterFailures }))
    const early = [1, 2, 4].map(wait)
    const patient = world.fork(service.whenConnected())
    world.run(service.start)
    const late = [1, 2].map(wait)
    world.pass("1 minute")
    expect(early.map((waiter) => waiter.unsafePoll())).toEqual(["first", "second", "fourth"].map(Exit.fail))
    expect(late.map((waiter) => waiter.unsafePoll())).toEqual(["second", "third"].map(Exit.fail))
    expect(patient.unsafePoll()).toBeNull()
    world.close()
  })

  // Failure 36: A failure that would pass ends the client, one that can't pass is tried again for ever, and so are
  // credentials that have expired.
  // Reported: nats-io/nats.deno#421, nats-io/nats.node#532, BasedHardware/omi#11694, CargoSense/absinthe_client#12,
  // stomp-js/stompjs#636
  it("fatal errors end the retries, others do not, and each attempt asks for new credentials", () => {
    const world = new World()
    const used: Array<string> = []
    const refusals = ["busy", "stale token", "busy", "revoked"]
    const service = world.run(
      ClientService.make({
        endpoint: Endpoint.make({
          name: "test",
          connect: () =>
            Effect.sync(() => `token ${used.length + 1}`).pipe(
              Effect.tap((token) => used.push(token)),
              Effect.flatMap(() => Effect.fail(refusals[used.length - 1] ?? "unknown"))
            )
        }),
        retryPolicy: everySecond.pipe(RetryPolicy.whileError((error: unknown) => error !== "revoked"))
      })
    )
    world.run(service.start)
    world.pass("1 hour")
    expect(used).toEqual(["token 1", "token 2", "token 3", "token 4"])
    expect(world.run(service.state.get)).toMatchObject({ _tag: "Exhausted", cause: Cause.fail("revoked") })
    world.close()
  })

  // Failure 37: A connection that the peer closes in an orderly way is not made again.
  // Reported: jwalton/node-amqp-connection-manager#8, phoenixframework/phoenix#3161
  it("a clean close by the peer is a loss like any other", () => {
    const world = new World()
    const sockets = world.run(Effect.all([makeSocket(), makeSocket()]))
    const next = sockets[Symbol.iterator]()
    const service = world.run(
      ClientService.make({
        endpoint: Endpoint.fromSocket(
          "test",
          Effect.suspend(() => Effect.orDie(Effect.fromNullable(next.next().value))).pipe(
            Effect.map(({ socket }) => socket)
          )
        ),
        retryPolicy: everySecond
      })
    )
    const [first, second] = sockets
    world.run(service.start)
    world.run(first.open)
    world.run(service.whenConnected())
    // As when the peer closes with the code 1000: the socket ends, and does not fail.
    world.run(first.end)
    expect(world.run(service.state.get)).toMatchObject({ _tag: "Waiting", failures: 1 })
    world.pass("1 second")
    world.run(second.open)
    world.run(service.whenConnected())
    expect([first.closes(), second.closes()]).toEqual([1, 0])
    world.close()
  })

  // Failure 39: Addresses are tried one after the other, and the first one that is dead eats up all of the time.
  // Reported: clientconn.go@grpc/grpc-go, nodejs/node#54359
  it("a dead address costs no more than the delay of the next, and of two that accept one is kept", () => {
    const world = new World()
    const race = (...outcomes: ReadonlyArray<TestEndpoint.Outcome<string, string>>) => {
      const servers = outcomes.map((outcome) =>
        world.run(Effect.tap(TestEndpoint.make<string, string>(), (server) => server.script(outcome)))
      )
      const endpoints = servers.map(({ endpoint }) => endpoint)
      const service = world.run(ClientService.make({ endpoint: Endpoint.happyEyeballs(endpoints, { delay: 250 }) }))
      world.run(service.start)
      return {
        service,
        opens: () => servers.map((server) => world.run(server.opens)),
        open: () => servers.map((server) => world.run(counts(server))).map(({ closes, opens }) => opens - closes)
      }
    }
    let isInterrupted = false
    const silent: TestEndpoint.Outcome<never> = (signal, open) =>
      Effect.onInterrupt(halfOpen(signal, open), () =>
        Effect.sync(() => {
          isInterrupted = true
        })
      )
    const dead = race(silent, TestEndpoint.accepted("good"))
    world.pass(249)
    expect(world.run(dead.service.state.get)).toMatchObject({ _tag: "Connecting" })
    world.pass(1)
    expect(world.run(dead.service.whenConnected())).toBe("good")
    expect(dead.open()).toEqual([0, 1])
    expect(isInterrupted).toBe(true)

    // Both accept in one turn, before the loser can be interrupted.
    const gate = Deferred.unsafeMake<void>(FiberId.none)
    const gated =
      (protocol: string): TestEndpoint.Outcome<string> =>
      (signal, open) =>
        Effect.zipRight(Deferred.await(gate), TestEndpoint.accepted(protocol)(signal, open))
    const both = race(gated("first"), gated("second"))
    world.pass(250)
    world.run(Deferred.succeed(gate, undefined))
    const won = world.run(both.service.whenConnected())
    expect(both.opens()).toEqual([1, 1])
    expect(both.open()).toEqual(won === "first" ? [1, 0] : [0, 1])
    world.close()
  })

  // Failure 40: A part of the connection dies, such as a channel on it, and the client goes on as if nothing had happened.
  // Reported: jwalton/node-amqp-connection-manager#347, jwalton/node-amqp-connection-manager#230
  it("a protocol can give its connection up, which is closed and replaced", () => {
    const world = new World()
    const channels: Array<() => void> = []
    const server = world.run(TestEndpoint.make<string>())
    const service = world.run(
      ClientService.make({
        endpoint: server.endpoint,
        protocol: (transport, signal: Endpoint.ConnectionSignal<"channel closed">) =>
          Effect.sync(() => {
            channels.push(() => signal.lost("channel closed"))
            return `channel over ${transport}`
          }),
        retryPolicy: everySecond
      })
    )
    world.run(server.script(TestEndpoint.accepted("first"), TestEndpoint.accepted("second")))
    world.run(service.start)
    expect(world.run(service.whenConnected())).toBe("channel over first")
    channels[0]?.()
    world.settle()
    expect(world.run(service.state.get)).toMatchObject({ _tag: "Waiting", cause: Cause.fail("channel closed") })
    expect(world.run(counts(server))).toEqual({ attempts: 1, opens: 1, closes: 1 })
    world.pass("1 second")
    expect(world.run(service.whenConnected())).toBe("channel over second")
    world.close()
  })
})
