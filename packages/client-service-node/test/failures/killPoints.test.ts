import type * as Net from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Random, Stream } from "effect"
import { RetryPolicy, type Transport } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "../support/certificates.js"
import { echo, forwardTo, listen, openSockets } from "../support/server.js"
import { type SocketEndpoint, startService } from "../support/service.js"
import { after, turns } from "../support/turns.js"
import { nothingUncaught } from "../support/uncaught.js"

const host = "127.0.0.1"

/** Ends each connection in one of several ways, after some turns of the event loop, and counts them. */
const killer = (random: Random.Random) => {
  const pick = (n: number) => Effect.runSync(random.nextIntBetween(0, n))
  let kills = 0
  const kill = (socket: Net.Socket) => {
    const ways = [
      () => socket.destroy(),
      () => socket.resetAndDestroy(),
      () => socket.end(),
      () => {
        socket.write("something that TLS is not")
        socket.resetAndDestroy()
      }
    ]
    const way = ways[pick(ways.length)]
    after(pick(12), () => {
      kills += 1
      way?.()
    })
  }
  return { kill, kills: () => kills, pick }
}

const talk = (transport: Transport.Transport) =>
  Effect.all(
    [
      Effect.forever(Effect.zipRight(transport.write(Buffer.alloc(50_000)), turns(1))),
      Stream.runDrain(transport.incoming)
    ],
    { concurrency: "unbounded" }
  )

const survives = (
  seed: string,
  kills: number,
  serve: (socket: Net.Socket) => void,
  makeEndpoint: (port: number) => SocketEndpoint
) =>
  Effect.gen(function* () {
    const before = openSockets()
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* nothingUncaught
        const server = killer(Random.make(seed))
        const { port } = yield* listen((socket) => {
          serve(socket)
          server.kill(socket)
        })
        const service = yield* startService(makeEndpoint(port), {
          prepare: (transport) =>
            server.pick(2) === 0 ? Effect.ignore(Effect.zipRight(transport.write("hi"), transport.end)) : Effect.void,
          retryPolicy: RetryPolicy.fromFunction(() => 0)
        })
        let lives = 0
        while (server.kills() < kills) {
          lives += 1
          const talking = yield* Effect.fork(Effect.exit(service.use(talk)))
          yield* turns(server.pick(8))
          if (server.pick(4) === 0) yield* Effect.zipRight(service.stop, service.start)
          if (server.pick(4) === 0) yield* service.reconnect
          if (server.pick(2) === 0) yield* talking.interruptAsFork(talking.id())
        }
        expect(lives).toBeGreaterThan(0)
        yield* service.whenConnected()
      })
    )
    yield* turns(2)
    expect(openSockets()).toBe(before)
  })

describe("leaks over sockets", () => {
  // Failure 54: An 'error' event that nobody listens to ends the process: before there is a listener, after it is taken
  // off, or during the close.
  // Reported: amqp-node/amqplib#738, amqp-node/amqplib#338, partykit/partykit#912, nats-io/nats.node#376, redis/ioredis#896
  it.scopedLive("1,000 TCP connections that end at random points throw nothing that nobody catches", () =>
    survives("tcp", 1000, echo, (port) => NodeEndpoint.tcp({ host, port, linger: 50 }))
  )

  // Failure 54
  it.scopedLive("200 TLS connections that end at random points throw nothing that nobody catches", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const server = yield* listen(echo, { tls: yield* authority.issue(host) })
      // In front of the server, to end connections in the handshake too.
      yield* survives("tls", 200, forwardTo(server.port), (port) =>
        NodeEndpoint.tls({ host, port, ca: authority.ca, linger: 50 })
      )
    })
  )
})
