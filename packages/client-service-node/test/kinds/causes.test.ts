import { createHash } from "node:crypto"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { inspect } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Effect, Fiber, Option, Queue, type Scope, Stream, TestClock } from "effect"
import { type ConnectError, FaultProxy, NodeEndpoint } from "effect-client-service-node"
import { resolvingNever } from "../support/addresses.js"
import { makeAuthority } from "../support/certificates.js"
import { echo, listen } from "../support/server.js"
import { connectOnce, readText, startService, stateOf } from "../support/service.js"
import { turn } from "../support/turns.js"
import * as WebSocketServer from "../support/webSocketServer.js"

const host = "127.0.0.1"

/** A server that answers the handshake of a WebSocket as it is told. */
const answering = (answer: (accept: string) => ReadonlyArray<string>) =>
  listen((socket) =>
    socket.once("data", (data: Buffer) => {
      const [, key = ""] = /sec-websocket-key: (.*)\r\n/i.exec(data.toString()) ?? []
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
      socket.write(`${answer(accept).join("\r\n")}\r\n\r\n`)
    })
  )

const agreeing = (accept: string, ...headers: ReadonlyArray<string>) => [
  "HTTP/1.1 101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  `Sec-WebSocket-Accept: ${accept}`,
  ...headers
]

const failureAt = (url: string, options?: NodeEndpoint.WebSocketOptions) =>
  Effect.flip(Effect.scoped(connectOnce(NodeEndpoint.webSocket(url, options))))

describe("the cause is told: of a WebSocket that could not be opened", () => {
  for (const [what, reason, protocols, answer] of [
    ["no subprotocol", "Subprotocol", ["v1"], (accept) => agreeing(accept)],
    ["another one", "Subprotocol", ["v1"], (accept) => agreeing(accept, "Sec-WebSocket-Protocol: v2")],
    ["one that nobody offered", "Subprotocol", [], (accept) => agreeing(accept, "Sec-WebSocket-Protocol: v2")],
    ["a wrong accept key", "Handshake", [], () => agreeing("c2VjcmV0")],
    ["no accept key", "Handshake", [], (accept) => agreeing(accept).slice(0, 3)],
    [
      "another upgrade",
      "Handshake",
      [],
      (accept) => ["HTTP/1.1 101 OK", "Connection: Upgrade", "Upgrade: h2c", `Sec-WebSocket-Accept: ${accept}`]
    ],
    [
      "no upgrade of the connection",
      "Handshake",
      [],
      (accept) => agreeing(accept).filter((line) => !line.startsWith("Connection"))
    ],
    ["to speak no HTTP", "Handshake", [], () => ["220 mail.example.com ready"]],
    ["extensions", "Handshake", [], (accept) => agreeing(accept, "Sec-WebSocket-Extensions: secret")]
  ] satisfies ReadonlyArray<
    readonly [string, string, ReadonlyArray<string>, (accept: string) => ReadonlyArray<string>]
  >) {
    it.scopedLive(`${reason}, if the server chose ${what}`, () =>
      Effect.gen(function* () {
        const { port } = yield* answering(answer)
        const error = yield* failureAt(`ws://${host}:${port}/?token=secret`, { protocols })
        expect(error).toMatchObject({ _tag: "WebSocketOpenError", reason })
        expect(inspect(error, { depth: 9 })).not.toContain("secret")
      })
    )
  }

  for (const status of [301, 401, 404, 429, 503]) {
    it.scopedLive(`Status, of an answer of ${status}, with the headers that a policy needs and no others`, () =>
      Effect.gen(function* () {
        const { port } = yield* answering(() => [
          `HTTP/1.1 ${status} No`,
          "Retry-After: 120",
          "WWW-Authenticate: Bearer",
          "X-RateLimit-Reset: 30",
          "Set-Cookie: session=secret",
          "Location: wss://example.com/?token=secret",
          "Content-Length: 0"
        ])
        const error = yield* failureAt(`ws://${host}:${port}`)
        expect(error).toMatchObject({
          _tag: "WebSocketOpenError",
          reason: "Status",
          status,
          headers: { "retry-after": "120", "www-authenticate": "Bearer", "x-ratelimit-reset": "30" }
        })
        expect(error.message).toContain(`Unexpected server response: ${status}`)
        expect(inspect(error, { depth: 9 })).not.toContain("secret")
      })
    )
  }

  // Kind 10: An attempt fails, and nothing tells why.
  it.scopedLive("Connection, if the server breaks off before it answers", () =>
    Effect.gen(function* () {
      const { port } = yield* listen((socket) => socket.once("data", () => socket.resetAndDestroy()))
      expect(yield* failureAt(`ws://${host}:${port}`)).toMatchObject({ reason: "Connection", detail: "ECONNRESET" })
    })
  )

  // Kind 10
  it.scopedLive("Connection with the cause, of a certificate that is not accepted and a name that there is not", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const { port } = yield* WebSocketServer.listen({ tls: yield* authority.issue("other.example") })
      expect(yield* failureAt(`wss://${host}:${port}`, { tls: { ca: authority.ca } })).toMatchObject({
        reason: "Connection",
        detail: "ERR_TLS_CERT_ALTNAME_INVALID",
        cause: { _tag: "ConnectError", reason: "Tls" }
      })
      expect(yield* failureAt("ws://nowhere.invalid:1")).toMatchObject({
        reason: "Connection",
        cause: { _tag: "ConnectError", reason: "Dns", address: "nowhere.invalid:1" }
      })
    })
  )
})

describe("the cause is told: of a look-up that hangs", () => {
  const address = { host: "db.example", port: 5432 }
  for (const [name, connect] of [
    ["tcp", (lookupTimeout) => connectOnce(NodeEndpoint.tcp({ ...address, lookupTimeout }))],
    ["tls", (lookupTimeout) => connectOnce(NodeEndpoint.tls({ ...address, lookupTimeout }))],
    [
      "webSocket",
      (lookupTimeout) =>
        Effect.mapError(connectOnce(NodeEndpoint.webSocket("ws://db.example:5432", { lookupTimeout })), (error) =>
          "cause" in error ? error.cause : error
        )
    ]
  ] satisfies ReadonlyArray<
    readonly [string, (lookupTimeout: "5 seconds" | undefined) => Effect.Effect<unknown, unknown, Scope.Scope>]
  >) {
    for (const [lookupTimeout, duration] of [
      [undefined, "10s"],
      ["5 seconds", "5s"]
    ] as const) {
      it.scoped(`${name} fails after ${duration} and says so`, () =>
        Effect.gen(function* () {
          yield* resolvingNever
          const failing = yield* Effect.fork(Effect.flip(Effect.scoped(connect(lookupTimeout))))
          yield* Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: (sleeps) => [...sleeps].length > 0 })
          yield* TestClock.adjust(lookupTimeout ?? "10 seconds")
          const error = yield* Fiber.join(failing)
          expect(error).toMatchObject({ _tag: "ConnectError", reason: "Dns", code: "ETIMEOUT" })
          expect(error).toHaveProperty("message", expect.stringContaining(`the look-up did not end within ${duration}`))
        })
      )
    }
  }
})

describe("the cause is told: TLS that is cut without the end of TLS", () => {
  const serve = (options: Tls.TlsOptions) =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const server = yield* listen(echo, { tls: { ...(yield* authority.issue(host)), ...options } })
      const proxy = yield* FaultProxy.make({ upstream: { host, port: server.port } })
      return { server, proxy, endpoint: NodeEndpoint.tls({ host, port: proxy.port, ca: authority.ca }) }
    })

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it.scopedLive(`is no clean end of what was received, which comes whole before it, by ${maxVersion}`, () =>
      Effect.gen(function* () {
        const { endpoint, proxy } = yield* serve({ maxVersion })
        const service = yield* startService(endpoint)
        const transport = yield* service.whenConnected()
        yield* transport.write("hello")
        expect(yield* readText(transport, 5)).toBe("hello")
        yield* proxy.set(FaultProxy.close())
        const error = yield* Effect.flip(Stream.runDrain(transport.incoming))
        expect(error).toMatchObject({ _tag: "TransportError", reason: "Read", cause: { reason: "Reset" } })
        const { cause } = yield* stateOf(service, "Waiting")
        expect(Option.getOrThrow(Cause.failureOption(cause))).toMatchObject({
          _tag: "ConnectError",
          reason: "Reset",
          code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING"
        })
      })
    )

    it.scopedLive(`is told though nobody reads, and nothing was ever sent, by ${maxVersion}`, () =>
      Effect.gen(function* () {
        const { endpoint, proxy, server } = yield* serve({ maxVersion })
        const losses = yield* Queue.unbounded<ConnectError.ConnectError | undefined>()
        yield* endpoint.connect({ lost: (error) => losses.unsafeOffer(error) })
        yield* Queue.take(server.accepted)
        yield* proxy.set(FaultProxy.close())
        expect(yield* Queue.take(losses)).toMatchObject({ reason: "Reset" })
      })
    )

    it.scopedLive(`but a server that ends TLS ends cleanly, with its last bytes, by ${maxVersion}`, () =>
      Effect.gen(function* () {
        const { endpoint, server } = yield* serve({ maxVersion })
        const losses = yield* Queue.unbounded<ConnectError.ConnectError | undefined>()
        for (const last of ["", "bye", "x".repeat(1_000_000)]) {
          const transport = yield* endpoint.connect({ lost: (error) => losses.unsafeOffer(error) })
          const socket = yield* Queue.take(server.accepted)
          yield* transport.write("hello")
          expect(yield* readText(transport, 5)).toBe("hello")
          socket.end(last)
          const received = yield* Stream.runCollect(Stream.decodeText(transport.incoming))
          expect(Chunk.join(received, "").length).toBe(last.length)
          expect(yield* Queue.take(losses)).toBeUndefined()
        }
      })
    )
  }
})

describe("the cause is told: what ends a connection together with its last bytes", () => {
  const versions = ["TLSv1.2", "TLSv1.3"] as const

  /** Has a server of TLS do something to the connection below once it has been written to. */
  const serve = (maxVersion: Tls.SecureVersion, act: (socket: Tls.TLSSocket, below: Net.Socket) => void) =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const certificate = yield* authority.issue(host)
      const { port } = yield* listen((below) => {
        const socket = new Tls.TLSSocket(below, { isServer: true, maxVersion, ...certificate })
        socket.on("error", () => {}).once("data", () => act(socket, below))
      })
      return NodeEndpoint.tls({ host, port, ca: authority.ca })
    })

  const answerAndReset = (socket: Net.Socket, below: Net.Socket) => {
    socket.write("answer")
    // What is written is in the socket below a turn later.
    setImmediate(() => below.resetAndDestroy())
  }

  const afterAnswer = (endpoint: ReturnType<typeof NodeEndpoint.tcp>) =>
    Effect.gen(function* () {
      const service = yield* startService(endpoint)
      const transport = yield* service.whenConnected()
      yield* transport.write("request")
      const texts: Array<string> = []
      const read = Stream.runForEach(Stream.decodeText(transport.incoming), (text) =>
        Effect.sync(() => void texts.push(text))
      )
      const end = yield* Effect.flip(read)
      const { cause } = yield* stateOf(service, "Waiting")
      return { text: texts.join(""), end, loss: Cause.squash(cause) }
    })

  // Node.js tells of a clean end.
  // Kind 10
  it.scopedLive("a reset is no clean end, by TCP", () =>
    Effect.gen(function* () {
      const { port } = yield* listen((socket) => socket.once("data", () => answerAndReset(socket, socket)))
      const { end, loss, text } = yield* afterAnswer(NodeEndpoint.tcp({ host, port }))
      expect(text).toBe("answer")
      expect(end).toMatchObject({ _tag: "TransportError", reason: "Read", cause: { code: "ECONNRESET" } })
      expect(loss).toMatchObject({ _tag: "ConnectError", reason: "Reset", code: "ECONNRESET" })
    })
  )

  for (const version of versions) {
    // Kind 10
    it.scopedLive(`a reset is no clean end, by ${version}`, () =>
      Effect.gen(function* () {
        const { end, loss, text } = yield* afterAnswer(yield* serve(version, answerAndReset))
        expect(text).toBe("answer")
        expect(end).toMatchObject({ _tag: "TransportError", reason: "Read" })
        expect(loss).toMatchObject({ _tag: "ConnectError", reason: "Reset" })
      })
    )

    // Kind 10
    it.scopedLive(`what breaks ${version} is told to the reader as well`, () =>
      Effect.gen(function* () {
        const endpoint = yield* serve(version, (socket, below) => {
          socket.write("answer")
          setImmediate(() => below.write("what is no TLS"))
        })
        const { end, loss, text } = yield* afterAnswer(endpoint)
        expect(text).toBe("answer")
        const code = expect.stringMatching(/^ERR_SSL_/)
        expect(end).toMatchObject({ _tag: "TransportError", reason: "Read", cause: { code } })
        expect(loss).toMatchObject({ _tag: "ConnectError", reason: "Tls", code })
      })
    )
  }

  // The peer may send what it has, and let nobody write to it any more.
  // Kind 10
  it.scopedLive("an end is clean, though what is written after it is reset", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.once("data", () => socket.end("answer")), { allowHalfOpen: true })
      const losses = yield* Queue.unbounded<ConnectError.ConnectError | undefined>()
      const endpoint = NodeEndpoint.tcp({ host, port: server.port })
      const transport = yield* endpoint.connect({ lost: (error) => losses.unsafeOffer(error) })
      yield* transport.write(new Uint8Array(20_000_000))
      const socket = yield* Queue.take(server.accepted)
      expect(Chunk.join(yield* Stream.runCollect(Stream.decodeText(transport.incoming)), "")).toBe("answer")
      expect(yield* Queue.take(losses)).toBeUndefined()
      socket.resetAndDestroy()
    })
  )
})
