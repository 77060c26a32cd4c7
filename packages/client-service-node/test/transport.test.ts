import type * as Net from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Stream } from "effect"
import type { Transport } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { clientSockets, echo, eventOf, listen, listeners, receivedBy, type ServerOptions } from "./support/server.js"
import { readText } from "./support/service.js"
import { turn } from "./support/turns.js"

const host = "127.0.0.1"

/** A transport, the client's socket under it, and the socket of its peer. */
const connected = (onConnection?: (socket: Net.Socket) => void, options?: ServerOptions) =>
  Effect.gen(function* () {
    const server = yield* listen(onConnection, options)
    const sockets = yield* clientSockets
    const transport = yield* NodeEndpoint.tcp({ host, port: server.port, linger: 0 }).connect({ lost: () => {} })
    const peer = yield* Queue.take(server.accepted)
    const socket = sockets[0]
    if (socket === undefined) throw new Error("no socket")
    return { transport, socket, peer }
  })

const chunk = Buffer.alloc(256 * 1024, "x")

/** Writes until the peer's buffer and the own one are full, and gives the number of writes that were accepted. */
const fill = (transport: Transport.Transport, socket: Net.Socket) =>
  Effect.gen(function* () {
    let accepted = 0
    while (!socket.writableNeedDrain) {
      yield* transport.write(chunk)
      accepted += 1
      // The system takes what it can.
      yield* turn
    }
    return accepted
  })

describe("reading", () => {
  it.scopedLive("goes on where an earlier consumer stopped", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* connected()
      const numbers = Array.from({ length: 20_000 }, (_, i) => `${i}\n`).join("")
      peer.end(numbers)
      let received = ""
      let turn = 0
      let isDone = false
      while (!isDone) {
        turn += 1
        const read = Stream.decodeText(turn % 2 === 0 ? Stream.take(transport.incoming, 1) : transport.incoming)
        const count = yield* Effect.raceFirst(
          Stream.runFold(read, 0, (count, text) => {
            received += text
            return count + 1
          }),
          turn % 2 === 0 ? Effect.never : Effect.as(Effect.yieldNow(), -1)
        )
        isDone = count === 0
      }
      expect(received === numbers).toBe(true)
      expect(turn).toBeGreaterThan(2)
    })
  )

  it.scopedLive("adds no listener, however often it is done or interrupted", () =>
    Effect.gen(function* () {
      const { socket, transport } = yield* connected(echo)
      const before = listeners(socket)
      for (let i = 0; i < 200; i++) {
        const reading = yield* Effect.fork(Stream.runDrain(transport.incoming))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(reading)
        yield* transport.write("ping")
        yield* readText(transport, 4)
      }
      expect(listeners(socket)).toEqual(before)
    })
  )
})

describe("writing", () => {
  it.scopedLive("waits while the buffer is full, keeps its order, and can be interrupted", () =>
    Effect.gen(function* () {
      const { peer, socket, transport } = yield* connected()
      const before = listeners(socket)
      const accepted = yield* fill(transport, socket)
      const buffered = socket.writableLength

      const waiting = yield* Effect.forEach(["a", "b", "c", "d"], (text) =>
        Effect.tap(Effect.fork(transport.write(text)), () => Effect.yieldNow())
      )
      const ending = yield* Effect.tap(Effect.fork(transport.end), () => Effect.yieldNow())
      const late = yield* Effect.tap(Effect.fork(Effect.flip(transport.write("late"))), () => Effect.yieldNow())
      expect(waiting.map((fiber) => fiber.unsafePoll())).toEqual([null, null, null, null])
      expect(socket.writableLength).toBe(buffered)
      expect(listeners(socket)).toEqual(before)

      const [, b] = waiting
      if (b !== undefined) expect(Exit.isInterrupted(yield* Fiber.interrupt(b))).toBe(true)

      const received = yield* receivedBy(peer)
      expect(received.subarray(accepted * chunk.length).toString()).toBe("acd")
      yield* Fiber.join(ending)
      expect(yield* Fiber.join(late)).toMatchObject({ reason: "Closed" })
    })
  )

  it.scopedLive("at once, if it needs not wait: else sends nothing, and tells so", () =>
    Effect.gen(function* () {
      const { peer, socket, transport } = yield* connected()
      const { now } = transport.write
      if (now === undefined) throw new Error("it can't")
      const bytes = Buffer.from("a")
      expect(now(bytes)).toBe(true)
      bytes.fill("x")
      yield* transport.write("b")
      expect(now("c")).toBe(true)
      expect(Reflect.apply(now, undefined, [1])).toBe(false)

      const accepted = yield* fill(transport, socket)
      expect(now("full")).toBe(false)
      const waiting = yield* Effect.tap(Effect.fork(transport.write("d")), () => Effect.yieldNow())
      expect(now("before those who wait")).toBe(false)

      const received = yield* Effect.fork(receivedBy(peer))
      yield* Fiber.join(waiting)
      yield* transport.end
      expect(now("ended")).toBe(false)
      const all = yield* Fiber.join(received)
      expect(all.subarray(0, 3).toString()).toBe("abc")
      expect(all.subarray(3 + accepted * chunk.length).toString()).toBe("d")
    })
  )

  it.scopedLive("fails when the connection breaks while it waits", () =>
    Effect.gen(function* () {
      const { peer, socket, transport } = yield* connected()
      yield* fill(transport, socket)
      const waiting = yield* Effect.fork(
        Effect.all([Effect.flip(transport.write("x")), Effect.flip(transport.end)], {
          concurrency: "unbounded"
        })
      )
      yield* Effect.yieldNow()
      peer.resetAndDestroy()
      const [write, end] = yield* Fiber.join(waiting)
      expect(write).toMatchObject({ reason: "Write", cause: { code: "ECONNRESET" } })
      expect(end).toMatchObject({ reason: "Write", cause: { code: "ECONNRESET" } })
    })
  )

  it.scopedLive("dies of what is neither bytes nor text, also when it waits", () =>
    Effect.gen(function* () {
      const { peer, socket, transport } = yield* connected()
      const write = (chunk: unknown) => Reflect.apply(transport.write, undefined, [chunk]) as Effect.Effect<void>
      expect(Exit.isFailure(yield* Effect.exit(write(1)))).toBe(true)
      yield* fill(transport, socket)
      const waiting = yield* Effect.fork(write({}))
      yield* Effect.yieldNow()
      peer.resume()
      expect(yield* Fiber.await(waiting)).toMatchObject({ _tag: "Failure", cause: { _tag: "Die" } })
    })
  )

  it.scopedLive("ends only the sending side, after what was written", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* connected(undefined, { allowHalfOpen: true })
      const size = 8 * chunk.length
      for (let i = 0; i < 8; i++) yield* Effect.fork(transport.write(chunk))
      yield* Effect.yieldNow()
      const ending = yield* Effect.fork(transport.end)
      const request = yield* receivedBy(peer)
      expect(request.length).toBe(size)
      yield* Fiber.join(ending)
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      peer.end("response")
      expect(yield* readText(transport, 8)).toBe("response")
    })
  )

  it.scopedLive("does not hang when the peer closes while it waits", () =>
    Effect.gen(function* () {
      const { peer, socket, transport } = yield* connected()
      yield* fill(transport, socket)
      const isWaiting = yield* Deferred.make<void>()
      const writer = yield* Effect.fork(
        Effect.zipRight(Deferred.succeed(isWaiting, undefined), Effect.exit(transport.write("x")))
      )
      yield* Deferred.await(isWaiting)
      const closed = yield* Effect.fork(eventOf(peer, "close"))
      peer.resume()
      peer.end()
      yield* Fiber.join(closed)
      expect(Exit.isExit(yield* Fiber.join(writer))).toBe(true)
    })
  )
})
