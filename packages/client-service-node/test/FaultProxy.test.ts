import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Queue, Scope, TestClock } from "effect"
import { InvalidOption } from "effect-client-service"
import { FaultProxy, NodeEndpoint } from "effect-client-service-node"
import { closedPort, echo, listen, openSockets } from "./support/server.js"
import { turns, until } from "./support/turns.js"

const host = "127.0.0.1"

/** A socket, and what has come of it so far. */
interface Observed {
  readonly socket: Net.Socket
  readonly received: () => string
  readonly hasEnded: () => boolean
  readonly error: () => string | undefined
}

const observe = (socket: Net.Socket): Observed => {
  const chunks: Array<Buffer> = []
  let error: string | undefined
  socket.on("data", (chunk) => chunks.push(chunk))
  socket.on("error", (cause: NodeJS.ErrnoException) => {
    error = cause.code
  })
  return {
    socket,
    received: () => Buffer.concat(chunks).toString(),
    hasEnded: () => socket.readableEnded,
    error: () => error
  }
}

/** Node.js takes a reset for an end if it comes at once after bytes. */
const isOver = ({ error, hasEnded }: Observed) => hasEnded() || error() !== undefined

const dial = (proxy: FaultProxy.FaultProxy) =>
  Effect.acquireRelease(
    Effect.sync(() => observe(Net.connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true, noDelay: true }))),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** A proxy in front of a server that does what the test does. */
const proxied = Effect.gen(function* () {
  const server = yield* listen(undefined, { allowHalfOpen: true })
  const proxy = yield* FaultProxy.make({ upstream: { host, port: server.port } })
  const accepted = Effect.map(Queue.take(server.accepted), (socket) => observe(socket.setNoDelay()))
  /** A connection through the proxy, seen from both of its ends. */
  const connection = Effect.gen(function* () {
    const client = yield* dial(proxy)
    return { client, peer: yield* accepted }
  })
  return { accepted, connection, proxy, server }
})

/** Waits until the proxy waits for a time, which is the test's then to pass. */
const untilWaiting = (times: number) =>
  Effect.repeat(Effect.zipRight(turns(0), TestClock.sleeps()), {
    until: (sleeps) => Chunk.size(sleeps) >= times
  })

/** Time in which anything that is not held back has long come through. */
const aWhile = turns(50)

describe("without faults", () => {
  it.scopedLive("forwards all bytes both ways, and the ends of both", () =>
    Effect.gen(function* () {
      const server = yield* listen(echo)
      const proxy = yield* FaultProxy.make({ upstream: { host, port: server.port } })
      const client = yield* dial(proxy)
      const text = Array.from({ length: 500_000 }, (_, i) => i).join()
      client.socket.end(text)
      yield* until(client.hasEnded)
      expect(client.received()).toBe(text)
      yield* until(() => client.socket.closed)
      expect(client.error()).toBeUndefined()
    })
  )

  it.scopedLive("forwards to a Unix socket", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "proxy-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
      )
      const path = join(directory, "socket")
      yield* listen(echo, { path })
      const proxy = yield* FaultProxy.make({ upstream: { path } })
      const client = yield* dial(proxy)
      client.socket.write("hello")
      yield* until(() => client.received() === "hello")
      yield* proxy.set(FaultProxy.reset())
      yield* until(() => client.error() === "ECONNRESET")
    })
  )

  it.scopedLive("forwards a reset, and resets a client when there is no server", () =>
    Effect.gen(function* () {
      const { connection } = yield* proxied
      const one = yield* connection
      one.peer.socket.resetAndDestroy()
      yield* until(() => one.client.error() === "ECONNRESET")
      const two = yield* connection
      two.client.socket.resetAndDestroy()
      yield* until(() => two.peer.error() === "ECONNRESET")

      const nowhere = yield* FaultProxy.make({ upstream: { host, port: yield* closedPort } })
      const client = yield* dial(nowhere)
      yield* until(() => client.error() === "ECONNRESET")
    })
  )

  it.scopedLive("counts connections, and drops them all", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const one = yield* connection
      const two = yield* connection
      expect([yield* proxy.accepted, yield* proxy.open]).toEqual([2, 2])
      yield* proxy.dropAll
      expect([yield* proxy.accepted, yield* proxy.open]).toEqual([2, 0])
      for (const { client, peer } of [one, two]) {
        yield* until(() => client.error() === "ECONNRESET" && peer.error() === "ECONNRESET")
      }
      const three = yield* connection
      three.client.socket.write("hello")
      yield* until(() => three.peer.received() === "hello")
    })
  )
})

describe("latency", () => {
  it.scoped("delays what comes one way, keeps its order, and does not add up", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.latency({ delay: "50 millis", direction: "ToClient" }))
      client.socket.write("at once")
      yield* until(() => peer.received() === "at once")

      peer.socket.write("one")
      yield* untilWaiting(1)
      yield* TestClock.adjust("20 millis")
      peer.socket.end("two")
      yield* aWhile
      yield* TestClock.adjust("29 millis")
      yield* aWhile
      expect(client.received()).toBe("")
      yield* TestClock.adjust("1 millis")
      yield* until(() => client.received() === "one")
      yield* TestClock.adjust("19 millis")
      yield* aWhile
      expect([client.received(), client.hasEnded()]).toEqual(["one", false])
      yield* TestClock.adjust("1 millis")
      yield* until(client.hasEnded)
      expect(client.received()).toBe("onetwo")
    })
  )

  it.scoped("is over for what is on its way once it is healed", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.latency({ delay: "1 hour" }), FaultProxy.latency({ delay: Number.POSITIVE_INFINITY }))
      client.socket.write("hello")
      yield* aWhile
      yield* TestClock.adjust("1 day")
      yield* aWhile
      expect(peer.received()).toBe("")
      yield* proxy.heal
      yield* until(() => peer.received() === "hello")
    })
  )
})

describe("bandwidth", () => {
  it.scoped("lets so many bytes through in a second", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.bandwidth({ bytesPerSecond: 1000, direction: "ToServer" }))
      client.socket.end("x".repeat(200))
      for (let size = 20; size < 200; size += 20) {
        yield* until(() => peer.received().length === size)
        yield* aWhile
        expect(peer.received().length).toBe(size)
        yield* TestClock.adjust("20 millis")
      }
      yield* until(() => peer.received().length === 200)
      peer.socket.write("y".repeat(100_000))
      yield* until(() => client.received().length === 100_000)
    })
  )

  it.scopedLive("holds the sender back, with no more than 1 MiB in memory", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.bandwidth({ bytesPerSecond: 1 }))
      const block = Buffer.alloc(64 * 1024)
      const total = 1024 * block.length
      let sent = 0
      const send = () => {
        do sent += block.length
        while (peer.socket.write(block) && sent < total)
      }
      peer.socket.on("drain", () => {
        if (sent < total) send()
      })
      send()
      let last = 0
      while (sent > last) {
        last = sent
        yield* aWhile
      }
      // The rest of it is in buffers of the system.
      expect(sent).toBeLessThan(total / 2)
      yield* proxy.heal
      yield* until(() => client.socket.bytesRead === total)
    })
  )
})

describe("blackHole", () => {
  it.scopedLive("holds everything back, ends too, and lets it through when it is over", () =>
    Effect.gen(function* () {
      const { accepted, connection, proxy } = yield* proxied
      const before = yield* connection
      yield* proxy.set(FaultProxy.blackHole())
      const during = yield* dial(proxy)
      during.socket.end("later")
      before.client.socket.end("question")
      before.peer.socket.end("answer")
      yield* aWhile
      expect([before.peer.received(), before.peer.hasEnded()]).toEqual(["", false])
      expect([before.client.received(), before.client.hasEnded()]).toEqual(["", false])
      yield* proxy.heal
      yield* until(() => before.peer.hasEnded() && before.client.hasEnded())
      expect([before.peer.received(), before.client.received()]).toEqual(["question", "answer"])
      const later = yield* accepted
      yield* until(later.hasEnded)
      expect(later.received()).toBe("later")
    })
  )

  it.scopedLive("is in one way alone, if that is asked for", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.blackHole({ direction: "ToClient" }))
      client.socket.write("question")
      yield* until(() => peer.received() === "question")
      peer.socket.write("answer")
      peer.socket.resetAndDestroy()
      yield* aWhile
      expect([client.received(), client.error()]).toEqual(["", undefined])
      yield* proxy.heal
      yield* until(() => isOver(client))
    })
  )
})

describe("reset", () => {
  it.scopedLive("breaks off the connections that are open, and new ones", () =>
    Effect.gen(function* () {
      const { accepted, connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.reset())
      yield* until(() => client.error() === "ECONNRESET" && peer.error() === "ECONNRESET")
      const next = yield* dial(proxy)
      yield* until(() => next.error() === "ECONNRESET")
      yield* accepted
      yield* proxy.heal
      const { peer: healthy } = yield* connection
      yield* aWhile
      expect(healthy.error()).toBeUndefined()
    })
  )

  it.scopedLive("comes after so many bytes of each connection", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      yield* proxy.set(FaultProxy.reset({ after: 10, direction: "ToClient" }))
      for (let i = 0; i < 2; i++) {
        const { client, peer } = yield* connection
        client.socket.write("more than ten bytes")
        yield* until(() => peer.received() === "more than ten bytes")
        peer.socket.write("01234")
        yield* until(() => client.received() === "01234")
        peer.socket.write("56789abc")
        yield* until(() => isOver(client) && peer.error() === "ECONNRESET")
        expect(client.received()).toBe("0123456789")
      }
    })
  )
})

describe("close", () => {
  it.scopedLive("counts from when it is set, of a connection that is open", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      const fault = FaultProxy.close({ after: 4, direction: "ToServer" })
      yield* proxy.set(fault)
      client.socket.write("012")
      yield* until(() => peer.received() === "012")
      yield* proxy.set(fault)
      client.socket.write("345678")
      yield* until(peer.hasEnded)
      expect(peer.received()).toBe("0123456")
    })
  )

  it.scopedLive("closes cleanly, in the middle of what is sent", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      // The smallest counts.
      yield* proxy.set(
        FaultProxy.close({ after: 20, direction: "ToServer" }),
        FaultProxy.close({ after: 12, direction: "ToServer" }),
        FaultProxy.reset({ after: 13, direction: "ToServer" })
      )
      client.socket.write("in the middle of a frame")
      yield* until(() => client.hasEnded() && peer.hasEnded())
      expect([peer.received(), peer.error(), client.error()]).toEqual(["in the middl", undefined, undefined])
      client.socket.end()
      peer.socket.end()
      yield* until(() => client.socket.closed && peer.socket.closed)
      yield* aWhile
      expect(yield* proxy.open).toBe(0)
    })
  )
})

describe("halfClose", () => {
  it.scopedLive("ends one way, while the other goes on", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const one = yield* connection
      yield* proxy.set(FaultProxy.halfClose({ direction: "ToClient" }))
      yield* until(one.client.hasEnded)
      one.peer.socket.write("comes to nothing")
      one.client.socket.write("goes on")
      yield* until(() => one.peer.received() === "goes on")
      expect([one.client.received(), one.peer.hasEnded()]).toEqual(["", false])

      yield* proxy.set(FaultProxy.halfClose({ direction: "ToServer" }))
      const two = yield* connection
      yield* until(two.peer.hasEnded)
      two.peer.socket.write("goes on")
      yield* until(() => two.client.received() === "goes on")
      expect(two.client.hasEnded()).toBe(false)
    })
  )

  it.scopedLive("leaves no connection to the server of a client that has gone", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.halfClose({ direction: "ToServer" }))
      yield* until(peer.hasEnded)
      client.socket.resetAndDestroy()
      yield* Effect.repeat(Effect.zipRight(turns(0), proxy.open), { until: (open) => open === 0 })
    })
  )
})

describe("slowClose", () => {
  it.scoped("has an end come later than what was sent before it", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      yield* proxy.set(FaultProxy.slowClose({ delay: "2 seconds", direction: "ToClient" }))
      peer.socket.end("bye")
      yield* until(() => client.received() === "bye")
      yield* untilWaiting(1)
      yield* TestClock.adjust("1999 millis")
      yield* aWhile
      expect(client.hasEnded()).toBe(false)
      yield* TestClock.adjust("1 millis")
      yield* until(client.hasEnded)
      client.socket.end()
      yield* until(peer.hasEnded)
    })
  )
})

describe("lateAccept", () => {
  it.scoped("forwards nothing of a new connection before it has been open for so long", () =>
    Effect.gen(function* () {
      const { accepted, connection, proxy } = yield* proxied
      const before = yield* connection
      yield* proxy.set(FaultProxy.lateAccept({ delay: "3 seconds" }))
      before.client.socket.write("at once")
      yield* until(() => before.peer.received() === "at once")

      const client = yield* dial(proxy)
      const peer = yield* accepted
      client.socket.write("late")
      yield* untilWaiting(1)
      yield* TestClock.adjust("2999 millis")
      yield* aWhile
      expect(peer.received()).toBe("")
      yield* TestClock.adjust("1 millis")
      yield* until(() => peer.received() === "late")
      client.socket.write(", then at once")
      yield* until(() => peer.received() === "late, then at once")
    })
  )
})

describe("refuse", () => {
  it.scopedLive("refuses new connections until it is healed, at the same port, and leaves the open ones", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      const { client, peer } = yield* connection
      const { port } = proxy
      yield* proxy.set(FaultProxy.refuse)
      yield* proxy.set(FaultProxy.refuse, FaultProxy.latency({ delay: 0 }))
      const refused = yield* Effect.flip(Effect.scoped(NodeEndpoint.tcp({ host, port }).connect({ lost: () => {} })))
      expect(refused).toMatchObject({ reason: "Refused" })
      client.socket.write("hello")
      yield* until(() => peer.received() === "hello")
      yield* proxy.heal
      yield* proxy.heal
      yield* connection
      expect([proxy.port, yield* proxy.accepted]).toEqual([port, 2])
    })
  )

  it.scopedLive("fails to heal while another has its port", () =>
    Effect.gen(function* () {
      const { connection, proxy } = yield* proxied
      yield* proxy.set(FaultProxy.refuse)
      const { port } = proxy
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* listen(undefined, { port })
          const error = yield* Effect.flip(proxy.heal)
          expect(error).toBeInstanceOf(FaultProxy.ListenError)
          expect(error.message).toMatch(new RegExp(`^127.0.0.1:${port}: .*EADDRINUSE`))
          const other = yield* Effect.flip(FaultProxy.make({ upstream: { host, port }, port }))
          expect(other).toMatchObject({ _tag: "ListenError", host, port, cause: { code: "EADDRINUSE" } })
        })
      )
      yield* proxy.heal
      yield* connection
    })
  )
})

describe("the Scope", () => {
  it.live("closes everything, whatever the faults, and nothing opens after it", () =>
    Effect.gen(function* () {
      yield* until(() => openSockets() === 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* listen(undefined, { allowHalfOpen: true })
          // As a Layer, which is built where nothing can be interrupted.
          const scope = yield* Scope.make()
          const proxy = yield* FaultProxy.make({ upstream: { host, port: server.port } }).pipe(
            Scope.extend(scope),
            Effect.uninterruptible
          )
          const clients = yield* Effect.replicateEffect(dial(proxy), 5)
          for (const fault of [
            FaultProxy.latency({ delay: "1 hour" }),
            FaultProxy.lateAccept({ delay: "1 hour" }),
            FaultProxy.blackHole(),
            FaultProxy.halfClose({ direction: "ToServer" }),
            FaultProxy.refuse
          ]) {
            yield* Queue.take(server.accepted)
            yield* proxy.set(fault)
            for (const { socket } of clients) socket.write("hello")
            yield* turns(3)
          }
          yield* Scope.close(scope, Exit.void)
          expect(yield* proxy.open).toBe(0)
          yield* until(() => clients.every(isOver))
          yield* proxy.heal
          const refused = yield* dial(proxy)
          yield* until(() => refused.error() === "ECONNREFUSED")
        })
      )
      yield* until(() => openSockets() === 0)
    })
  )
})

describe("options", () => {
  it.each<[string, () => unknown, string]>([
    ["a blank host", () => FaultProxy.make({ upstream: { host: " ", port: 1 } }), "upstream.host"],
    ["port 0 of the server", () => FaultProxy.make({ upstream: { host, port: 0 } }), "upstream.port"],
    ["a blank path", () => FaultProxy.make({ upstream: { path: "" } }), "upstream.path"],
    ["a port that is none", () => FaultProxy.make({ upstream: { path: "/x" }, port: 65536 }), "port"],
    // @ts-expect-error: what a program without types may pass.
    ["no port, by null", () => FaultProxy.make({ upstream: { path: "/x" }, port: null }), "port"],
    ["a blank address", () => FaultProxy.make({ upstream: { path: "/x" }, host: "" }), "host"],
    ["a negative delay", () => FaultProxy.latency({ delay: -1 }), "delay"],
    ["a delay that is no number", () => FaultProxy.slowClose({ delay: Number.NaN }), "delay"],
    ["a negative late accept", () => FaultProxy.lateAccept({ delay: -1 }), "delay"],
    ["no bandwidth at all", () => FaultProxy.bandwidth({ bytesPerSecond: 0 }), "bytesPerSecond"],
    ["half a byte", () => FaultProxy.reset({ after: 0.5 }), "after"],
    ["a negative count", () => FaultProxy.close({ after: -1 }), "after"],
    // @ts-expect-error: there is no such way.
    ["an unknown way", () => FaultProxy.blackHole({ direction: "Up" }), "direction"],
    // @ts-expect-error: that is a close.
    ["a half close both ways", () => FaultProxy.halfClose({ direction: "Both" }), "direction"]
  ])("refuses %s", (_, make, option) => {
    expect(make).toThrow(expect.objectContaining({ _tag: "InvalidOption", option }))
    expect(make).toThrow(InvalidOption.InvalidOption)
  })
})
