import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, type Scheduler, type Scope, TestClock } from "effect"
import { ChildProcessEndpoint, ConnectError, NodeEndpoint } from "effect-client-service-node"
import { blackHole, resolvingTo } from "../support/addresses.js"
import { makeAuthority } from "../support/certificates.js"
import { clientSockets, closedPort } from "../support/server.js"
import { connectOnce } from "../support/service.js"
import { after, turn, until } from "../support/turns.js"
import { nothingUncaught } from "../support/uncaught.js"
import { listen } from "../support/webSocketServer.js"

const host = "two.example"

const url = (port: number) => `ws://${host}:${port}`

describe("a WebSocket dials as tcp does", () => {
  // Kind 9: What one endpoint knows of slow and dead addresses, another of the same library does not.
  it.scoped("an address that answers nothing does not hold up the next", () =>
    Effect.gen(function* () {
      const port = yield* blackHole("127.0.0.2")
      const server = yield* listen({ port })
      yield* resolvingTo("127.0.0.2", "127.0.0.1")
      const sockets = yield* clientSockets
      const connecting = yield* Effect.fork(connectOnce(NodeEndpoint.webSocket(url(port))))
      yield* until(() => sockets.length > 0)
      yield* Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: (sleeps) => [...sleeps].length > 0 })
      yield* TestClock.adjust(249)
      expect(sockets.map(({ connecting }) => connecting)).toEqual([true])
      yield* TestClock.adjust(1)
      yield* Queue.take(server.accepted)
      yield* Fiber.join(connecting)
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false])
    })
  )

  // Kind 9
  it.scoped("an address that answers late is not given up when another refuses", () =>
    Effect.gen(function* () {
      const port = yield* blackHole("127.0.0.2")
      yield* resolvingTo("127.0.0.2", "127.0.0.1")
      const sockets = yield* clientSockets
      const connecting = yield* Effect.fork(
        Effect.scoped(connectOnce(NodeEndpoint.webSocket(url(port), { attemptDelay: 10 })))
      )
      yield* until(() => sockets.length > 0)
      yield* Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: (sleeps) => [...sleeps].length > 0 })
      yield* TestClock.adjust(10)
      yield* until(() => sockets[1]?.destroyed === true)
      yield* TestClock.adjust("20 seconds")
      expect([sockets[0]?.connecting, connecting.unsafePoll()]).toEqual([true, null])
      yield* Fiber.interrupt(connecting)
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true])
    })
  )

  // Kind 9
  it.scopedLive("all addresses are tried, in turn and at once when one fails, and all are told", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      yield* resolvingTo("127.0.0.2", "127.0.0.3", "::1")
      const endpoint = NodeEndpoint.webSocket(url(port), { attemptDelay: "1 hour" })
      const error = yield* Effect.flip(Effect.scoped(connectOnce(endpoint)))
      const cause = "cause" in error ? error.cause : undefined
      expect(error).toMatchObject({ _tag: "WebSocketOpenError", reason: "Connection", detail: "ECONNREFUSED" })
      const errors =
        cause instanceof ConnectError.ConnectError && cause.cause instanceof AggregateError ? cause.cause.errors : []
      expect(errors.map(({ address }) => address)).toEqual([`127.0.0.2:${port}`, `[::1]:${port}`, `127.0.0.3:${port}`])
    })
  )

  it.scopedLive("only addresses of the family are looked up, and localAddress is connected from", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const lookups = yield* resolvingTo("127.0.0.1")
      yield* Effect.forkScoped(connectOnce(NodeEndpoint.webSocket(url(server.port), { family: 4 })))
      yield* Queue.take(server.accepted)
      const endpoint = NodeEndpoint.webSocket(url(server.port), { localAddress: "127.0.0.5" })
      yield* Effect.forkScoped(connectOnce(endpoint))
      const { request } = yield* Queue.take(server.accepted)
      expect(request.socket.remoteAddress).toBe("127.0.0.5")
      expect(lookups().map(({ family }) => family)).toEqual([4, 4])
    })
  )

  // Kind 9
  it.scoped("the race is until the end of the TLS handshake", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const tls = yield* authority.issue(host)
      const port = yield* blackHole("127.0.0.2")
      const server = yield* listen({ port, tls })
      yield* resolvingTo("127.0.0.2", "127.0.0.1")
      const endpoint = NodeEndpoint.webSocket(`wss://${host}:${port}`, { tls: { ca: authority.ca }, attemptDelay: 0 })
      const connecting = yield* Effect.fork(connectOnce(endpoint))
      yield* Queue.take(server.accepted)
      yield* Fiber.join(connecting)
    })
  )
})

/** Has a fiber give way to the event loop after so many steps, again and again. */
const givingWay = (steps: number): Scheduler.Scheduler => ({
  shouldYield: (fiber) => (fiber.currentOpCount > steps ? 0 : false),
  scheduleTask: (task) => after(0, task)
})

describe("an attempt that fails at once", () => {
  // Kind 3
  it.scopedLive("fails whenever its fiber gives way to others", () =>
    Effect.gen(function* () {
      yield* nothingUncaught
      // An address that this system does not have.
      const localAddress = "192.0.2.1"
      const attempts = [
        connectOnce(ChildProcessEndpoint.make("/nowhere/command")),
        connectOnce(NodeEndpoint.tcp({ host: "127.0.0.1", port: 1, localAddress })),
        connectOnce(NodeEndpoint.tls({ host: "127.0.0.1", port: 1, localAddress })),
        connectOnce(NodeEndpoint.webSocket("ws://127.0.0.1:1", { localAddress })),
        connectOnce(NodeEndpoint.webSocket("wss://127.0.0.1:1", { localAddress }))
      ]
      for (let steps = 20; steps < 44; steps++) {
        for (const attempt of attempts) {
          yield* Effect.withScheduler(
            Effect.scoped(Effect.flip<object, unknown, Scope.Scope>(attempt)),
            givingWay(steps)
          )
        }
      }
    })
  )
})
