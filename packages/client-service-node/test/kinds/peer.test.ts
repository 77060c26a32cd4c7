import { readFileSync } from "node:fs"
import * as Net from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { FaultProxy, NodeEndpoint } from "effect-client-service-node"
import { resolvingTo } from "../support/addresses.js"
import { fromOwnPort } from "../support/ownPort.js"
import { clientSockets, closedPort, closeOf, listen } from "../support/server.js"
import { connectOnce, failureOf, startService, stateOf } from "../support/service.js"

const host = "127.0.0.1"

const refused = { _tag: "ConnectError", reason: "Refused", code: "ECONNREFUSED" }

/** Whether the system has a connection of a port to itself, in whatever state. Others may have got the port meanwhile. */
const isItsOwnPeer = (port: number): boolean => {
  const hex = port.toString(16).toUpperCase().padStart(4, "0")
  return new RegExp(`:${hex} [0-9A-F]+:${hex} `).test(readFileSync("/proc/net/tcp", "utf8"))
}

describe("who is at the other end: a connection of a socket to itself", () => {
  // Kind 2: A client connects to itself, on a port of its own machine where nobody listens.
  it.scopedLive("is refused by tcp, and its port is free for the server", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      yield* fromOwnPort
      const sockets = yield* clientSockets
      expect(yield* failureOf(NodeEndpoint.tcp({ host, port }))).toMatchObject(refused)
      expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
      if (process.platform === "linux") expect(isItsOwnPeer(port)).toBe(false)
      yield* listen(() => {}, { port })
    })
  )

  // Kind 2
  it.scopedLive("is refused by tls, before the handshake", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      yield* fromOwnPort
      expect(yield* failureOf(NodeEndpoint.tls({ host, port }))).toMatchObject(refused)
    })
  )

  for (const scheme of ["ws", "wss"]) {
    it.scopedLive(`is refused by a webSocket of ${scheme}:`, () =>
      Effect.gen(function* () {
        const port = yield* closedPort
        yield* fromOwnPort
        const connecting = connectOnce(NodeEndpoint.webSocket(`${scheme}://${host}:${port}`))
        expect(yield* Effect.flip(Effect.scoped(connecting))).toMatchObject({
          _tag: "WebSocketOpenError",
          reason: "Connection",
          detail: "ECONNREFUSED",
          cause: refused
        })
      })
    )
  }

  // Kind 2
  it.scopedLive("is refused for one address of a name, and the next is tried", () =>
    Effect.gen(function* () {
      const { accepted, port } = yield* listen(() => {}, { host: "127.0.0.2" })
      yield* fromOwnPort
      yield* resolvingTo(host, "127.0.0.2")
      // The second address is another's: there is a server, whose port is taken on that address alone.
      const connecting = connectOnce(NodeEndpoint.tcp({ host: "two.example", port, attemptDelay: "1 hour" }))
      expect((yield* connecting).remote).toBe(`127.0.0.2:${port}`)
      yield* Queue.take(accepted)
    })
  )

  // Kind 2
  it.scopedLive("is none of a service that waits for its server, which comes", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const service = yield* Effect.scoped(
        Effect.zipRight(fromOwnPort, Effect.succeed(NodeEndpoint.tcp({ host, port })))
      ).pipe(Effect.flatMap((endpoint) => startService(endpoint)))
      expect(yield* stateOf(service, "Waiting")).toMatchObject({ failures: 1 })
      yield* listen(() => {}, { port })
      yield* service.whenConnected()
    })
  )

  // Kind 2
  it.scopedLive("is none of FaultProxy, whose client is told", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const proxy = yield* FaultProxy.make({ upstream: { host, port } })
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(proxy.port, host).on("error", () => {})),
        (client) => Effect.sync(() => client.destroy())
      )
      yield* fromOwnPort
      yield* closeOf(client)
      expect(yield* proxy.accepted).toBe(1)
    })
  )
})
