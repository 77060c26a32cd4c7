import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it, vi } from "@effect/vitest"
import { Cause, Data, Deferred, Duration, Effect, Fiber, Option, Queue, Stream } from "effect"
import { ClientService, ConnectionState, type Transport } from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"
import { run } from "./support/child.js"
import { clientSockets, closedPort, echo, eventOf, listen, receivedBy } from "./support/server.js"
import { connectOnce, failureOf, readText, startService, stateOf } from "./support/service.js"
import { turn } from "./support/turns.js"

const host = "127.0.0.1"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "node-endpoint-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** Gives the arguments of all calls of a method by some sockets. */
const spyOn = (method: "setNoDelay" | "setKeepAlive") =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => vi.spyOn(Net.Socket.prototype, method)),
      (spy) => Effect.sync(() => spy.mockRestore())
    ),
    ({ mock }) =>
      (sockets: ReadonlyArray<Net.Socket>): ReadonlyArray<unknown> =>
        mock.calls.filter((_, i) => sockets.some((socket) => socket === mock.contexts[i]))
  )

describe("connecting", () => {
  it.scopedLive("connects by TCP", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(echo)
      const service = yield* startService(NodeEndpoint.tcp({ host, port }))
      const transport = yield* service.whenConnected()
      expect(transport.remote).toBe(`127.0.0.1:${port}`)
      yield* transport.write("grüße")
      yield* transport.write(new TextEncoder().encode("!"))
      expect(yield* readText(transport, 6)).toBe("grüße!")
    })
  )

  it.scopedLive("connects to a Unix socket", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "socket")
      yield* listen(echo, { path })
      const service = yield* startService(NodeEndpoint.unix({ path }))
      const transport = yield* service.whenConnected()
      expect(transport.remote).toBe(path)
      yield* transport.write("hello")
      expect(yield* readText(transport, 5)).toBe("hello")
    })
  )

  it.scopedLive("connects again when the server is back", () =>
    Effect.gen(function* () {
      const first = yield* listen(echo)
      const service = yield* startService(NodeEndpoint.tcp({ host, port: first.port }))
      yield* service.whenConnected()
      yield* first.kill
      yield* stateOf(service, "Waiting")
      yield* listen(echo, { port: first.port })
      const transport = yield* service.whenConnected()
      yield* transport.write("again")
      expect(yield* readText(transport, 5)).toBe("again")
    })
  )

  it.scopedLive("sets the options of the socket", () =>
    Effect.gen(function* () {
      const { port } = yield* listen()
      const sockets = yield* clientSockets
      const noDelay = yield* spyOn("setNoDelay")
      const keepAlive = yield* spyOn("setKeepAlive")
      yield* connectOnce(NodeEndpoint.tcp({ host, port }))
      yield* connectOnce(NodeEndpoint.tcp({ host, port, keepAliveInitialDelay: "200 millis", noDelay: false }))
      yield* connectOnce(NodeEndpoint.tcp({ host, port, keepAlive: false, keepAliveInitialDelay: "365 days" }))
      expect(noDelay(sockets)).toEqual([[true], [false], [true]])
      expect(keepAlive(sockets)).toEqual([
        [true, 30000],
        [true, 1000],
        [false, 32767000]
      ])
    })
  )

  it.scopedLive("destroys the socket when it is interrupted", () =>
    Effect.gen(function* () {
      // It answers no handshake.
      const server = yield* listen((socket) => socket.resume())
      const connecting = yield* Effect.fork(connectOnce(NodeEndpoint.tls({ host, port: server.port })))
      const accepted = yield* Queue.take(server.accepted)
      const closed = yield* Effect.fork(eventOf(accepted, "close"))
      yield* Fiber.interrupt(connecting)
      yield* Fiber.join(closed)
    })
  )

  it.scopedLive("is held to the connectTimeout of the service", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.resume())
      const service = yield* startService(NodeEndpoint.tls({ host, port: server.port }), { connectTimeout: 100 })
      const failing = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
      const closed = yield* Effect.fork(eventOf(yield* Queue.take(server.accepted), "close"))
      expect(yield* Fiber.join(failing)).toBeInstanceOf(ClientService.ConnectTimeout)
      yield* Fiber.join(closed)
      yield* Queue.take(server.accepted)
    })
  )
})

describe("failing to connect", () => {
  it.scopedLive("tells Refused of a port that nothing listens on", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const error = yield* failureOf(NodeEndpoint.tcp({ host, port }))
      expect(error).toMatchObject({ reason: "Refused", code: "ECONNREFUSED", address: `127.0.0.1:${port}` })
    })
  )

  it.scopedLive("tells Refused of a path where there is no socket", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "socket")
      expect(yield* failureOf(NodeEndpoint.unix({ path }))).toMatchObject({
        reason: "Refused",
        code: "ENOENT",
        address: path
      })
      yield* Effect.sync(() => writeFileSync(path, ""))
      expect(yield* failureOf(NodeEndpoint.unix({ path }))).toMatchObject({ reason: "Refused", code: "ECONNREFUSED" })
    })
  )

  it.scopedLive("tells Dns of a name that does not exist", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(NodeEndpoint.tcp({ host: "nowhere.invalid", port: 1 }))
      expect(error).toMatchObject({ reason: "Dns", address: "nowhere.invalid:1" })
    })
  )

  it.scopedLive("tells Permission of a Unix socket that this process may not use", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "socket")
      yield* listen(echo, { path })
      yield* Effect.sync(() => chmodSync(path, 0))
      // A process of its own, since it gives up the right of root to connect to any.
      const client = yield* run("unprivileged.ts", [path])
      expect(yield* client.line("failure")).toBe("Permission EACCES")
    })
  )

  it.scopedLive("tells Unreachable of a local address that this host does not have", () =>
    Effect.gen(function* () {
      const { port } = yield* listen()
      const error = yield* failureOf(NodeEndpoint.tcp({ host, port, localAddress: "192.0.2.1" }))
      expect(error).toMatchObject({ reason: "Unreachable", code: "EADDRNOTAVAIL" })
    })
  )
})

describe("losing the connection", () => {
  it.scopedLive("is told of a reset with its error", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port }))
      const transport = yield* service.whenConnected()
      const reading = yield* Effect.fork(Effect.flip(Stream.runDrain(transport.incoming)))
      const socket = yield* Queue.take(server.accepted)
      socket.resetAndDestroy()
      const { cause } = yield* stateOf(service, "Waiting")
      expect(Option.getOrThrow(Cause.failureOption(cause))).toMatchObject({
        _tag: "ConnectError",
        reason: "Reset",
        code: "ECONNRESET"
      })
      expect(yield* Fiber.join(reading)).toMatchObject({ reason: "Read", cause: { code: "ECONNRESET" } })
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ _tag: "TransportError" })
    })
  )

  it.scopedLive("is told of a clean close with no error, though nobody reads", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port }))
      yield* service.whenConnected()
      const socket = yield* Queue.take(server.accepted)
      socket.end()
      const { cause } = yield* stateOf(service, "Waiting")
      expect(Option.getOrThrow(Cause.failureOption(cause))).toBeInstanceOf(ClientService.ConnectionLost)
    })
  )

  it.scopedLive("ends incoming at a clean close, after the last bytes", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.end("bye"))
      const lost = yield* Deferred.make<ConnectError.ConnectError | undefined>()
      const transport = yield* NodeEndpoint.tcp({ host, port: server.port }).connect({
        lost: (error) => Deferred.unsafeDone(lost, Effect.succeed(error))
      })
      const chunks = yield* Stream.runCollect(Stream.decodeText(transport.incoming))
      expect([...chunks].join("")).toBe("bye")
      expect(yield* Deferred.await(lost)).toBeUndefined()
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      expect([...(yield* Stream.runCollect(transport.incoming))]).toEqual([])
    })
  )

  it.scopedLive("is told of a clean close once the reader has acted on it", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const order: Array<string> = []
      const lost = yield* Deferred.make<void>()
      const transport = yield* NodeEndpoint.tcp({ host, port: server.port }).connect({
        lost: () => {
          order.push("lost")
          Deferred.unsafeDone(lost, Effect.void)
        }
      })
      yield* Stream.runDrain(transport.incoming).pipe(
        Effect.zipRight(Effect.promise(() => Promise.resolve().then(() => order.push("reader")))),
        Effect.fork
      )
      const peer = yield* Queue.take(server.accepted)
      peer.end()
      yield* Deferred.await(lost)
      expect(order).toEqual(["reader", "lost"])
    })
  )

  it.scopedLive("hands out the bytes that came before a reset, then fails", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const sockets = yield* clientSockets
      const transport = yield* connectOnce(NodeEndpoint.tcp({ host, port: server.port }))
      const peer = yield* Queue.take(server.accepted)
      peer.write("bye")
      yield* Effect.repeat(turn, { until: () => sockets.every((socket) => socket.bytesRead > 0) })
      peer.resetAndDestroy()
      yield* Effect.repeat(turn, { until: () => sockets.every((socket) => socket.closed) })
      expect(yield* readText(transport, 3)).toBe("bye")
      expect(yield* Effect.flip(Stream.runDrain(transport.incoming))).toMatchObject({ reason: "Read" })
    })
  )

  class BadLogin extends Data.TaggedError("BadLogin")<{ readonly line: string }> {}

  // The answer goes from the fiber that reads to the one that waits for it, as in most protocols.
  const logIn = (transport: Transport.Transport) =>
    Effect.gen(function* () {
      const answers = yield* Queue.unbounded<string>()
      yield* transport.incoming.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        // It takes its time to decode, as one that decompresses does.
        Stream.mapEffect((line) => Effect.as(turn, line)),
        Stream.runForEach((line) => Queue.offer(answers, line)),
        Effect.forkScoped
      )
      yield* Effect.orDie(transport.write("AUTH wrong\r\n"))
      const line = yield* Queue.take(answers)
      return yield* new BadLogin({ line })
    })

  it.scopedLive("lets the last bytes before it be acted on first", () =>
    Effect.gen(function* () {
      const { port } = yield* listen((socket) => {
        socket.once("data", () => socket.end("-ERR bad login\r\n"))
      })
      const service = yield* startService(NodeEndpoint.tcp({ host, port }), {
        prepare: logIn
      })
      const error = yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))
      expect(error).toEqual(new BadLogin({ line: "-ERR bad login" }))
      yield* service.stop

      for (let i = 0; i < 50; i++) {
        yield* service.start
        const error = yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))
        expect(error).toBeInstanceOf(BadLogin)
        yield* service.stop
      }
    })
  )

  it.scopedLive("lets the last bytes before a reset be acted on first", () =>
    Effect.gen(function* () {
      // A server that closes with bytes unread sends a reset.
      const { port } = yield* listen((socket) => {
        socket.once("readable", () => socket.write("-ERR bad login\r\n", () => socket.destroy()))
      })
      const service = yield* startService(NodeEndpoint.tcp({ host, port }), { prepare: logIn })
      const error = yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))
      expect(error).toBeInstanceOf(BadLogin)
    })
  )
})

describe("closing", () => {
  it.scopedLive("sends what was written before it closes", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port }))
      const transport = yield* service.whenConnected()
      const socket = yield* Queue.take(server.accepted)
      const size = 8 * 1024 * 1024
      yield* transport.write(Buffer.alloc(size, "x"))
      const received = yield* Effect.fork(receivedBy(socket))
      yield* service.stop
      expect((yield* Fiber.join(received)).length).toBe(size)
    })
  )

  it.scopedLive("does not wait for a peer that closed first", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.end("unread"))
      const sockets = yield* clientSockets
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port, linger: "1 hour" }), {
        prepare: (transport) => readText(transport, 1),
        closeTimeout: "1 hour"
      })
      yield* service.whenConnected()
      yield* Effect.repeat(turn, { until: () => sockets.every((socket) => socket.readableEnded) })
      yield* service.stop
      expect(sockets.map((socket) => socket.destroyed)).toEqual([true])
    })
  )

  it.scopedLive("destroys the socket when the peer does not close within linger", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.resume(), { allowHalfOpen: true })
      const sockets = yield* clientSockets
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port, linger: 100 }))
      yield* service.whenConnected()
      const socket = yield* Queue.take(server.accepted)
      const ended = yield* Effect.fork(eventOf(socket, "end"))
      const stopping = yield* Effect.fork(Effect.timed(service.stop))
      yield* Fiber.join(ended)
      expect(sockets.map((socket) => socket.destroyed)).toEqual([false])
      const [elapsed] = yield* Fiber.join(stopping)
      expect(sockets.map((socket) => socket.destroyed)).toEqual([true])
      expect(Duration.toMillis(elapsed)).toBeGreaterThan(95)
    })
  )

  it.scopedLive("does not wait for the peer with a linger of 0", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.resume(), { allowHalfOpen: true })
      const sockets = yield* clientSockets
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port, linger: 0 }), {
        closeTimeout: "1 hour"
      })
      yield* service.whenConnected()
      yield* service.stop
      expect(sockets.map((socket) => socket.destroyed)).toEqual([true])
    })
  )

  it.scopedLive("closes the socket also when the fiber that owns it is interrupted", () =>
    Effect.gen(function* () {
      const server = yield* listen((socket) => socket.resume(), { allowHalfOpen: true })
      const sockets = yield* clientSockets
      const connected = yield* Deferred.make<void>()
      const owner = yield* connectOnce(NodeEndpoint.tcp({ host, port: server.port, linger: 50 })).pipe(
        Effect.zipRight(Deferred.succeed(connected, undefined)),
        Effect.zipRight(Effect.never),
        Effect.scoped,
        Effect.fork
      )
      yield* Deferred.await(connected)
      const socket = yield* Queue.take(server.accepted)
      const ended = yield* Effect.fork(eventOf(socket, "end"))
      yield* Fiber.interrupt(owner)
      yield* Fiber.join(ended)
      expect(sockets.map((socket) => socket.destroyed)).toEqual([true])
    })
  )

  it.scopedLive("fails what is still read or written with Closed", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port }))
      const transport = yield* service.whenConnected()
      const reading = yield* Effect.fork(Effect.flip(Stream.runDrain(transport.incoming)))
      const writing = yield* Effect.fork(Effect.flip(Effect.forever(transport.write(Buffer.alloc(1024 * 1024)))))
      yield* service.stop
      expect(yield* Fiber.join(reading)).toMatchObject({ reason: "Closed" })
      expect(yield* Fiber.join(writing)).toMatchObject({ reason: "Closed" })
      expect(yield* Effect.flip(transport.end)).toMatchObject({ reason: "Closed" })
      expect(ConnectionState.Stopped()).toEqual(yield* service.state.get)
    })
  )
})
