import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Option, Queue, TestClock } from "effect"
import { ConnectError, NodeEndpoint } from "effect-client-service-node"
import { blackHole, resolvingTo } from "./support/addresses.js"
import { makeAuthority } from "./support/certificates.js"
import { clientSockets, closedPort, closeOf, echo, listen } from "./support/server.js"
import { connectOnce, failureOf, readText, startService, stateOf } from "./support/service.js"
import { turn } from "./support/turns.js"

const host = "two.example"

/** The addresses that an attempt has tried, in the order in which they failed. */
const tried = ({ cause }: ConnectError.ConnectError): ReadonlyArray<string> => {
  const errors: ReadonlyArray<unknown> = cause instanceof AggregateError ? cause.errors : []
  return errors.map((error) => (error instanceof ConnectError.ConnectError ? error.address : String(error)))
}

describe("the addresses of a name", () => {
  it.scopedLive("are looked up at every attempt, and the next tried at once when one fails", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(echo)
      // Nothing listens at the first.
      const lookups = yield* resolvingTo("127.0.0.2", "127.0.0.1")
      for (let i = 1; i <= 2; i++) {
        const transport = yield* connectOnce(NodeEndpoint.tcp({ host, port, attemptDelay: "1 hour" }))
        expect(transport.remote).toBe(`127.0.0.1:${port}`)
        expect(lookups()).toHaveLength(i)
      }
    })
  )

  for (const [attemptDelay, millis] of [
    [undefined, 250],
    ["2 seconds", 2000]
  ] as const) {
    it.scoped(`are tried ${millis} ms apart, so that one that answers nothing does not hold up the others`, () =>
      Effect.gen(function* () {
        const port = yield* blackHole("127.0.0.2")
        yield* listen(echo, { port })
        yield* resolvingTo("127.0.0.2", "127.0.0.1")
        const sockets = yield* clientSockets
        const connecting = yield* Effect.fork(connectOnce(NodeEndpoint.tcp({ host, port, attemptDelay })))
        yield* Effect.repeat(turn, { until: () => sockets.length > 0 })
        yield* Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: (sleeps) => [...sleeps].length > 0 })
        yield* TestClock.adjust(millis - 1)
        expect(sockets.map(({ connecting }) => connecting)).toEqual([true])
        yield* TestClock.adjust(1)
        const transport = yield* Fiber.join(connecting)
        expect(transport.remote).toBe(`127.0.0.1:${port}`)
        expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false])
        yield* transport.write("hello")
        expect(yield* readText(transport, 5)).toBe("hello")
      })
    )
  }

  it.scopedLive("are tried with IPv6 and IPv4 in turn, beginning with the first of the look-up", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      for (const [found, order] of [
        ["127.0.0.2 127.0.0.3 127.0.0.4 ::1", "127.0.0.2 ::1 127.0.0.3 127.0.0.4"],
        ["::1 127.0.0.2 127.0.0.3", "::1 127.0.0.2 127.0.0.3"],
        ["::1 ::1 127.0.0.2 127.0.0.3", "::1 127.0.0.2 ::1 127.0.0.3"],
        ["127.0.0.3 127.0.0.2", "127.0.0.3 127.0.0.2"]
      ] as const) {
        const error = yield* Effect.scoped(
          Effect.zipRight(resolvingTo(...found.split(" ")), failureOf(NodeEndpoint.tcp({ host, port })))
        )
        expect(tried(error)).toEqual(order.split(" ").map((ip) => (ip === "::1" ? `[::1]:${port}` : `${ip}:${port}`)))
      }
    })
  )

  it.scopedLive("are those of one version of IP, if one is given or follows from localAddress", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(echo)
      const lookups = yield* resolvingTo("127.0.0.1")
      yield* connectOnce(NodeEndpoint.tcp({ host, port }))
      yield* connectOnce(NodeEndpoint.tcp({ host, port, family: 6 }))
      yield* connectOnce(NodeEndpoint.tcp({ host, port, localAddress: "127.0.0.5" }))
      expect(lookups()).toEqual([0, 6, 4].map((family) => ({ all: true, verbatim: true, family })))
    })
  )

  it.scopedLive("are connected to once, also when all of them answer", () =>
    Effect.gen(function* () {
      const one = yield* listen(echo)
      const { port } = one
      const two = yield* listen(echo, { host: "127.0.0.2", port })
      yield* resolvingTo("127.0.0.1", "127.0.0.2")
      const transport = yield* connectOnce(NodeEndpoint.tcp({ host, port, attemptDelay: 0 }))
      const loser = transport.remote === `127.0.0.1:${port}` ? two : one
      yield* closeOf(yield* Queue.take(loser.accepted))
      yield* transport.write("hello")
      expect(yield* readText(transport, 5)).toBe("hello")
    })
  )

  it.scopedLive("are raced until the end of the TLS handshake, not of the TCP one", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const good = yield* listen(echo, { tls: yield* authority.issue(host) })
      const { port } = good
      // It accepts, and answers no handshake.
      const mute = yield* listen((socket) => socket.resume(), { host: "127.0.0.2", port })
      yield* resolvingTo("127.0.0.2", "127.0.0.1")
      const transport = yield* connectOnce(NodeEndpoint.tls({ host, port, ca: authority.ca, attemptDelay: 0 }))
      expect(transport.remote).toBe(`127.0.0.1:${port}`)
      expect(yield* Queue.take(good.accepted)).toMatchObject({ servername: host })
      yield* closeOf(yield* Queue.take(mute.accepted))
    })
  )

  it.scoped("are told of by the timeout of the attempt: which have failed, and which have not answered", () =>
    Effect.gen(function* () {
      const port = yield* blackHole("127.0.0.2")
      yield* resolvingTo("127.0.0.3", "127.0.0.2")
      const sockets = yield* clientSockets
      for (const endpoint of [NodeEndpoint.tcp({ host, port }), NodeEndpoint.webSocket(`ws://${host}:${port}`)]) {
        const begun = sockets.length
        const service = yield* startService<unknown>(endpoint, { connectTimeout: "10 seconds" })
        const failing = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
        yield* Effect.repeat(turn, { until: () => sockets.length === begun + 2 })
        yield* TestClock.adjust("10 seconds")
        yield* turn
        const error = yield* Fiber.join(failing)
        expect(error).toMatchObject({
          _tag: "ConnectTimeout",
          failures: [{ endpoint: `127.0.0.3:${port}` }],
          pending: [`127.0.0.2:${port}`]
        })
        expect(error).toHaveProperty("message", expect.stringContaining("(ECONNREFUSED)"))
        yield* service.stop
      }
    })
  )

  it.scopedLive("have to show a certificate of that name", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const { port } = yield* listen(echo, { tls: yield* authority.issue("other.example") })
      // Nothing listens at the second.
      yield* resolvingTo("127.0.0.1", "127.0.0.2")
      const error = yield* failureOf(NodeEndpoint.tls({ host, port, ca: authority.ca }))
      expect(error).toMatchObject({ reason: "Tls", code: "ERR_TLS_CERT_ALTNAME_INVALID", address: `${host}:${port}` })
      expect(tried(error)).toEqual([`127.0.0.1:${port}`, `127.0.0.2:${port}`])
    })
  )

  it.scopedLive("are all told of, each with what it failed by, when none can be connected to", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      // TCP has no broadcasts.
      yield* resolvingTo("127.255.255.255", "127.0.0.1")
      const error = yield* failureOf(NodeEndpoint.tcp({ host, port }))
      expect(error).toMatchObject({ reason: "Refused", code: "ECONNREFUSED", address: `${host}:${port}` })
      expect(tried(error)).toEqual([`127.255.255.255:${port}`, `127.0.0.1:${port}`])
      expect(error.message).toContain(`: 127.255.255.255:${port} (ENETUNREACH), 127.0.0.1:${port} (ECONNREFUSED)`)
    })
  )

  it.scopedLive("are told of by the error of a loss, which has the one that was connected to", () =>
    Effect.gen(function* () {
      const server = yield* listen(echo)
      yield* resolvingTo("127.0.0.1")
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port }))
      yield* service.whenConnected()
      const peer = yield* Queue.take(server.accepted)
      peer.resetAndDestroy()
      const { cause } = yield* stateOf(service, "Waiting")
      expect(Option.getOrThrow(Cause.failureOption(cause))).toMatchObject({
        reason: "Reset",
        address: `127.0.0.1:${server.port}`
      })
    })
  )
})

describe("an IP address", () => {
  for (const ip of ["127.0.0.1", "::1"]) {
    it.scopedLive(`such as ${ip} is connected to without a look-up, by one socket`, () =>
      Effect.gen(function* () {
        const { port } = yield* listen(echo, { host: ip })
        const lookups = yield* resolvingTo("127.0.0.2")
        const sockets = yield* clientSockets
        yield* connectOnce(NodeEndpoint.tcp({ host: ip, port }))
        expect(lookups()).toEqual([])
        expect(sockets).toHaveLength(1)
        const closed = yield* closedPort
        expect(yield* failureOf(NodeEndpoint.tcp({ host: ip, port: closed }))).toMatchObject({
          address: ip === "::1" ? `[::1]:${closed}` : `${ip}:${closed}`,
          cause: { code: "ECONNREFUSED" }
        })
      })
    )
  }
})
