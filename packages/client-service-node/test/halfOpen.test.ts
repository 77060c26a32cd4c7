import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Effect, Fiber, Queue, Stream, TestClock } from "effect"
import { RetryPolicy, type Transport } from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "./support/certificates.js"
import { connect, groupGone, shell } from "./support/processes.js"
import { closeOf, eventOf, listen, receivedBy } from "./support/server.js"
import { type SocketEndpoint, startService, stateOf } from "./support/service.js"
import { turn, turns } from "./support/turns.js"

const host = "127.0.0.1"

const textOf = ({ incoming }: Transport.Transport) => Stream.mkString(Stream.decodeText(incoming))

const socketPath = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "half-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
).pipe(Effect.map((folder) => join(folder, "socket")))

/** A server of each kind that ends by `goodbye` at once, what it hears after that, and how its end is told. */
const kinds = {
  tcp: {
    by: " (FIN)",
    make: (allowHalfOpen: boolean) =>
      Effect.map(
        listen((socket) => socket.end("bye"), { allowHalfOpen: true }),
        (server) => ({
          server,
          endpoint: NodeEndpoint.tcp({ host, port: server.port, allowHalfOpen })
        })
      )
  },
  tls: {
    by: " (close_notify)",
    make: (allowHalfOpen: boolean) =>
      Effect.gen(function* () {
        const authority = yield* makeAuthority()
        const tls = yield* authority.issue(host)
        // In the event itself, Node.js would end the connection without the end of TLS.
        const server = yield* listen((socket) => setImmediate(() => socket.end("bye")), { allowHalfOpen: true, tls })
        return { server, endpoint: NodeEndpoint.tls({ host, port: server.port, ca: authority.ca, allowHalfOpen }) }
      })
  },
  unix: {
    by: "",
    make: (allowHalfOpen: boolean) =>
      Effect.gen(function* () {
        const path = yield* socketPath
        const server = yield* listen((socket) => socket.end("bye"), { allowHalfOpen: true, path })
        return { server, endpoint: NodeEndpoint.unix({ path, allowHalfOpen }) }
      })
  }
}

const lostFirst = (endpoint: SocketEndpoint) =>
  Effect.gen(function* () {
    const service = yield* startService(endpoint, { retryPolicy: RetryPolicy.fromFunction(() => "1 hour") })
    const transport = yield* service.whenConnected()
    return { service, transport }
  })

/** A connection and its loss. */
const connected = (endpoint: SocketEndpoint) =>
  Effect.gen(function* () {
    const loss = yield* Deferred.make<ConnectError.ConnectError | undefined>()
    const transport = yield* endpoint.connect({ lost: (error) => Deferred.unsafeDone(loss, Effect.succeed(error)) })
    return { transport, loss: Deferred.await(loss) }
  })

describe.each(Object.entries(kinds))("a peer over %s that has ended its side", (_, { by, make }) => {
  it.scopedLive("has ended the connection, and the loss tells how", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* make(false)
      const { service, transport } = yield* lostFirst(endpoint)
      expect(yield* textOf(transport)).toBe("bye")
      const { cause } = yield* stateOf(service, "Waiting")
      expect(Cause.squash(cause)).toMatchObject({
        _tag: "ConnectionLost",
        detail: `the peer ended it cleanly${by}`,
        message: `${service.name}: the connection was lost: the peer ended it cleanly${by}`
      })
    })
  )

  it.scopedLive("is sent what there still is to send with allowHalfOpen, and it is lost when all is said", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* make(true)
      const { service, transport } = yield* lostFirst(endpoint)
      const heard = yield* Effect.fork(Effect.flatMap(Queue.take(server.accepted), receivedBy))
      expect(yield* textOf(transport)).toBe("bye")
      // Longer than whoever has read to the end has to act on it.
      yield* Effect.sleep("50 millis")
      yield* transport.write("and you?")
      expect((yield* service.state.get)._tag).toBe("Connected")
      yield* transport.end
      expect(String(yield* Fiber.join(heard))).toBe("and you?")
      const { cause } = yield* stateOf(service, "Waiting")
      expect(Cause.squash(cause)).toMatchObject({ detail: `the peer ended it cleanly${by}` })
    })
  )

  it.scopedLive("may break, and then it is lost with that", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* make(true)
      const { service, transport } = yield* lostFirst(endpoint)
      expect(yield* textOf(transport)).toBe("bye")
      const socket = yield* Queue.take(server.accepted)
      socket.destroy()
      yield* eventOf(socket, "close")
      yield* Effect.ignore(Effect.forever(Effect.zipRight(transport.write("x"), Effect.sleep("5 millis"))))
      const { cause, failures } = yield* stateOf(service, "Waiting")
      expect(failures).toBe(1)
      expect(Cause.squash(cause)).toMatchObject({ _tag: "ConnectError", reason: "Reset" })
    })
  )

  it.scopedLive("may break before the reader has come to its end, and then it is lost with that", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* make(true)
      const { loss, transport } = yield* connected(endpoint)
      const goesOn = yield* Deferred.make<void>()
      const reading = yield* Effect.fork(Stream.runForEach(transport.incoming, () => Deferred.await(goesOn)))
      const peer = yield* Queue.take(server.accepted)
      if (!peer.writableFinished) yield* eventOf(peer, "finish")
      // A reset that comes with the end is the end.
      yield* turns(20)
      peer.destroy()
      yield* closeOf(peer)
      yield* Effect.flip(Effect.forever(Effect.zipRight(transport.write("x"), turn)))
      yield* turns(20)
      yield* Deferred.succeed(goesOn, undefined)
      yield* Fiber.join(reading)
      expect(yield* loss).toMatchObject({ _tag: "ConnectError", reason: "Reset" })
    })
  )
})

describe("a peer that ends its side and resets at once, while there is much to send to it", () => {
  it.scopedLive("has ended it cleanly for the reader, and the loss is the reset", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(
        (socket) => socket.once("readable", () => socket.end("bye", () => socket.resetAndDestroy())),
        { allowHalfOpen: true }
      )
      const { loss, transport } = yield* connected(NodeEndpoint.tcp({ host, port, allowHalfOpen: true }))
      // What is written waits, so that its failure is that of the end.
      yield* transport.write(new Uint8Array(20_000_000))
      expect(yield* textOf(transport)).toBe("bye")
      expect(yield* loss).toMatchObject({ _tag: "ConnectError", reason: "Reset", code: "EPIPE" })
    })
  )
})

describe("a process with allowHalfOpen", () => {
  for (const exitCode of [0, 3]) {
    it.scoped(`that ends with ${exitCode} before the reader has come to its end is lost with that`, () =>
      Effect.gen(function* () {
        const endpoint = shell(`echo bye; exec 1>&-; cat > /dev/null; exit ${exitCode}`, { allowHalfOpen: true })
        const { loss, transport } = yield* connect(endpoint)
        const goesOn = yield* Deferred.make<void>()
        const reading = yield* Effect.fork(Stream.runForEach(transport.incoming, () => Deferred.await(goesOn)))
        // It has closed its output, and is waited for.
        yield* Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: Chunk.isNonEmpty })
        yield* TestClock.adjust("1 second")
        yield* turns(5)
        yield* transport.end
        yield* groupGone(transport.pid)
        yield* turns(50)
        yield* Deferred.succeed(goesOn, undefined)
        yield* Fiber.join(reading)
        expect(yield* loss).toMatchObject({ _tag: "ChildProcessError", reason: "Exited", exitCode })
      })
    )
  }

  const start = (script: string) =>
    Effect.gen(function* () {
      const lost = yield* Deferred.make<unknown>()
      const transport = yield* shell(script, { allowHalfOpen: true, linger: "10 millis" }).connect({
        lost: (error) => Deferred.unsafeDone(lost, Effect.succeed(error))
      })
      return { transport, lost }
    })

  it.scopedLive("goes on when it has closed its output, until it ends", () =>
    Effect.gen(function* () {
      const { lost, transport } = yield* start("exec 1>&-; cat > /dev/null; exit 3")
      expect(yield* textOf(transport)).toBe("")
      yield* Effect.sleep("50 millis")
      yield* transport.write("more")
      expect(yield* Deferred.isDone(lost)).toBe(false)
      yield* transport.end
      expect(yield* Deferred.await(lost)).toMatchObject({ reason: "Exited", exitCode: 3 })
    })
  )

  it.scopedLive("goes on when it has closed its input, and writes fail", () =>
    Effect.gen(function* () {
      const { lost, transport } = yield* start("exec 0<&-; echo closed; sleep 0.2; echo late; exit 4")
      const text = yield* Effect.fork(Effect.flip(Stream.runDrain(transport.incoming)))
      const refusal = yield* Effect.flip(
        Effect.forever(Effect.zipRight(transport.write("x"), Effect.sleep("5 millis")))
      )
      expect(refusal).toMatchObject({ reason: "Write", cause: { code: "EPIPE" } })
      expect(yield* Deferred.isDone(lost)).toBe(false)
      expect(yield* Deferred.await(lost)).toMatchObject({ reason: "Exited", exitCode: 4 })
      expect(yield* Fiber.join(text)).toMatchObject({ cause: { exitCode: 4 } })
    })
  )
})
