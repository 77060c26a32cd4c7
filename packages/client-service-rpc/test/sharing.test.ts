import { RpcClient, RpcMessage, RpcSerialization } from "@effect/rpc"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Queue, Schedule, Stream, TestClock } from "effect"
import { type ConnectionState, Transport } from "effect-client-service"
import { RpcConnection } from "effect-client-service-rpc"
import { ProtocolLive } from "./support/connecting.js"
import { Client, Seen, ServerLive } from "./support/directory.js"
import { makePeer } from "./support/peer.js"
import { tcp } from "./support/servers.js"
import { causeOf, makeFixture, Rpcs, settle } from "./support/service.js"

/** A client of a server in this process, by TCP. */
const overTcp = (
  serialization: Layer.Layer<RpcSerialization.RpcSerialization>,
  client: Layer.Layer<Client, never, RpcClient.Protocol> = Client.Live
) =>
  client.pipe(
    Layer.provideMerge(ProtocolLive(tcp.endpoint)),
    Layer.provideMerge(ServerLive()),
    Layer.provideMerge(tcp.listen()),
    Layer.provideMerge(Seen.Live),
    Layer.provide(serialization)
  )

const maxBufferSize = 10_000
const limited = (serialization: RpcSerialization.RpcSerialization["Type"]) =>
  Layer.succeed(RpcSerialization.RpcSerialization, serialization)

/** Ids that JSON-RPC has no room for, and some that it has. */
const idsGiven = () => {
  const ids = [0n, 7n, 2n ** 60n, 2n ** 60n + 1n, -1n]
  let calls = 0
  return () => RpcMessage.RequestId(ids[calls++] ?? BigInt(calls))
}

describe("a server whose connection callers share", () => {
  for (const [name, serialization] of [
    ["NDJSON", limited(RpcSerialization.makeNdjson({ maxBufferSize }))],
    ["MsgPack", limited(RpcSerialization.makeMsgPack({ useRecords: true, maxBufferSize }))],
    ["JSON-RPC", limited(RpcSerialization.ndJsonRpc({ maxBufferSize }))]
  ] as const) {
    // Kind 32
    it.scopedLive(`has no room for a call: that one is told, and all others go on (${name})`, () =>
      Effect.gen(function* () {
        const client = yield* Client
        const { begun } = yield* Seen
        const other = yield* Effect.fork(client.Never())
        yield* Queue.take(begun)
        const text = "x".repeat(maxBufferSize - 1000)
        expect(yield* client.Echo({ text })).toBe(text)
        expect(yield* causeOf(client.Echo({ text: `${text}${text}` }))).toMatchObject({ _tag: "TooLarge" })
        expect(yield* client.Echo({ text: "still here" })).toBe("still here")
        expect(other.unsafePoll()).toBe(null)
      }).pipe(Effect.provide(overTcp(serialization)))
    )
  }

  // Kind 34
  it.scopedLive("has an answer for each call, whatever its id", () =>
    Effect.gen(function* () {
      const client = yield* Client
      const texts = ["a", "b", "c", "d", "e", "f"]
      const answers = Effect.forEach(texts, (text) => client.Echo({ text }), { concurrency: "unbounded" })
      expect(yield* answers).toEqual(texts)
    }).pipe(Effect.provide(overTcp(RpcSerialization.layerNdJsonRpc(), Client.make({ generateRequestId: idsGiven() }))))
  )

  // Kind 33
  it.scopedLive("ends all calls with the defect of one: it does not go on with the others", () =>
    Effect.gen(function* () {
      const client = yield* Client
      const { begun, interrupted } = yield* Seen
      const calls = [
        client.Never(),
        Stream.runDrain(client.Everyone({ from: 0 })),
        client.Never(undefined, { discard: true })
      ]
      const others = yield* Effect.forEach(calls, (call) =>
        Effect.zipLeft(Effect.fork(Effect.exit(call)), Queue.take(begun))
      )
      expect(yield* Effect.exit(client.Crash())).toEqual(Exit.die("boom"))
      for (const other of others.slice(0, 2)) expect(yield* Fiber.join(other)).toEqual(Exit.die("boom"))
      const ended = [yield* Queue.take(interrupted), yield* Queue.take(interrupted), yield* Queue.take(interrupted)]
      expect(ended.sort()).toEqual(["Everyone", "Never", "Never"])
    }).pipe(Effect.provide(overTcp(RpcSerialization.layerNdjson)))
  )
})

describe("two clients of one connection", () => {
  const withIds = (ids: ReadonlyArray<bigint>) => {
    let calls = 0
    return { generateRequestId: () => RpcMessage.RequestId(ids[calls++] ?? 0n) }
  }

  const makeTwo = Effect.gen(function* () {
    const { connect, service } = yield* makeFixture()
    const protocol = RpcConnection.makeProtocol(service)
    const make = (ids: ReadonlyArray<bigint>) =>
      Effect.provideService(RpcClient.make(Rpcs, withIds(ids)), RpcClient.Protocol, protocol)
    return { first: yield* make([1n]), second: yield* make([1n, 2n]), peer: yield* connect }
  })

  // Kind 34
  it.scoped("have calls of the same id: the second is told, and has not the answer of the first", () =>
    Effect.gen(function* () {
      const { first, peer, second } = yield* makeTwo
      const call = yield* Effect.fork(first.Double({ n: 1 }))
      const request = yield* peer.request
      const refused = yield* Effect.exit(second.Double({ n: 2 }))
      expect(Exit.isFailure(refused) && Cause.pretty(refused.cause)).toContain("another call of the same id")
      yield* peer.answer(request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
      const later = yield* Effect.fork(second.Double({ n: 3 }))
      yield* peer.answer(yield* peer.request, 6)
      expect(yield* Fiber.join(later)).toBe(6)
    })
  )

  // Kind 34
  it.scoped("have the same id one after the other: the second has not the answer that the first has left", () =>
    Effect.gen(function* () {
      const { first, peer, second } = yield* makeTwo
      const left = yield* Effect.fork(first.Double({ n: 1 }))
      const request = yield* peer.request
      yield* Fiber.interrupt(left)
      expect(yield* peer.next).toMatchObject({ _tag: "Interrupt", requestId: request.id })
      const call = yield* Effect.fork(Effect.exit(second.Double({ n: 100 })))
      const next = yield* peer.request
      // As a server does that had answered before it heard of the Interrupt.
      yield* peer.answer(request, 2)
      const cause = { _tag: "Interrupt", fiberId: { _tag: "None" } } as const
      yield* peer.send({ _tag: "Exit", requestId: request.id, exit: { _tag: "Failure", cause } })
      yield* settle
      expect(call.unsafePoll()).toBe(null)
      yield* peer.answer(next, 200)
      expect(yield* Fiber.join(call)).toEqual(Exit.succeed(200))
      const later = yield* Effect.fork(second.Double({ n: 3 }))
      const third = yield* peer.request
      expect(third.id).toBe("2")
      yield* peer.answer(third, 6)
      expect(yield* Fiber.join(later)).toBe(6)
    })
  )

  // Kind 34
  it.scoped("have ids that no call had before, once more calls were given up than are remembered", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture()
      const protocol = RpcConnection.makeProtocol(service)
      const ids = Array.from({ length: 105 }, (_, index) => BigInt(index + 1))
      const make = (ids: ReadonlyArray<bigint>) =>
        Effect.provideService(RpcClient.make(Rpcs, withIds(ids)), RpcClient.Protocol, protocol)
      const [first, second] = [yield* make(ids), yield* make(ids.slice(-1))]
      const peer = yield* connect
      const seen = new Set<string>()
      for (const _ of ids) {
        const left = yield* Effect.fork(first.Double({ n: 1 }))
        seen.add((yield* peer.request).id)
        yield* Fiber.interrupt(left)
        expect(yield* peer.next).toMatchObject({ _tag: "Interrupt" })
      }
      expect(seen.size).toBe(105)
      const call = yield* Effect.fork(second.Double({ n: 100 }))
      const request = yield* peer.request
      expect(seen).not.toContain(request.id)
      yield* peer.answer(request, 200)
      expect(yield* Fiber.join(call)).toBe(200)
    })
  )

  // Kind 34
  it.scoped("have calls of the same id, one being that of `prepare`: each has its own answer", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture()
      const peer = yield* connect
      const own = yield* RpcConnection.client(yield* service.whenConnected(), Rpcs)
      const early = yield* Effect.fork(own.Double({ n: 1 }))
      const first = yield* peer.request
      const client = yield* Effect.provideService(
        RpcClient.make(Rpcs, withIds([BigInt(first.id)])),
        RpcClient.Protocol,
        RpcConnection.makeProtocol(service)
      )
      const late = yield* Effect.fork(client.Double({ n: 2 }))
      const second = yield* peer.request
      expect(second.id).not.toBe(first.id)
      yield* peer.answer(second, 4)
      expect(yield* Fiber.join(late)).toBe(4)
      yield* peer.answer(first, 2)
      expect(yield* Fiber.join(early)).toBe(2)
    })
  )
})

describe("a server that reads nothing for now", () => {
  /** A connection whose server begins to read when it is told to, and what was written to it. */
  const paused = Effect.gen(function* () {
    const { client, server, service } = yield* makeFixture()
    const peer = yield* makePeer
    const reads = yield* Deferred.make<void>()
    const written: Array<number> = []
    const write: Transport.Transport["write"] = (chunk) =>
      Effect.sync(() => written.push(chunk.length)).pipe(
        Effect.zipRight(Deferred.await(reads)),
        Effect.zipRight(peer.transport.write(chunk))
      )
    const connect = Effect.zipRight(service.start, server.accept({ ...peer.transport, write }))
    return { client, connect, peer, read: Deferred.succeed(reads, undefined), service, written }
  })

  // Kind 33
  it.scoped("is given so much at a time: calls that are given up meanwhile are not sent", () =>
    Effect.gen(function* () {
      const { client, connect, peer, read, written } = yield* paused
      const value = "x".repeat(100_000)
      const calls = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.fork(client.Keep({ value })))
      yield* settle
      yield* connect
      yield* settle
      for (const call of calls.slice(10)) yield* Fiber.interrupt(call)
      yield* read
      yield* settle
      const sent = yield* peer.rest
      expect(sent.map(({ _tag }) => _tag)).toEqual(Array.from({ length: 10 }, () => "Request"))
      expect(Math.max(...written)).toBeLessThan(300_000)
    })
  )

  // Kind 33
  it.scoped("has no more than one ping wait, however many ask", () =>
    Effect.gen(function* () {
      const { connect, peer, read, service } = yield* paused
      yield* connect
      const connection = yield* service.whenConnected()
      for (let asked = 0; asked < 100; asked++) {
        const ping = yield* Effect.fork(connection.ping)
        yield* settle
        if (asked < 99) yield* Fiber.interrupt(ping)
      }
      yield* read
      yield* settle
      expect((yield* peer.rest).length).toBeLessThanOrEqual(2)
    })
  )
})

describe("a connection is lost", () => {
  it.scoped("by a transport that dies of what it is given", () =>
    Effect.gen(function* () {
      const { client, server, service } = yield* makeFixture({ retryPolicy: Schedule.stop })
      const peer = yield* makePeer
      yield* service.start
      yield* server.accept({ ...peer.transport, write: () => Effect.die("boom") })
      const lost = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* settle
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(lost)).toMatchObject({ _tag: "ConnectionLost" })
      yield* settle
      const state: ConnectionState.ConnectionState<unknown, unknown> = yield* service.state.get
      const expected = new Transport.TransportError({ reason: "Write", cause: "boom" })
      expect(state._tag === "Exhausted" && Cause.squash(state.cause)).toEqual(expected)
    })
  )

  it.scoped("by a heartbeat only when nothing comes, as of an answer that takes its time", () =>
    Effect.gen(function* () {
      const heartbeat = RpcConnection.heartbeat({ interval: "10 seconds", timeout: "10 seconds" })
      const { client, server, service } = yield* makeFixture({ heartbeat })
      const peer = yield* makePeer
      let lastReceived = 0
      yield* service.start
      yield* server.accept({
        ...peer.transport,
        get lastReceived() {
          return lastReceived
        }
      })
      const call = yield* Effect.fork(Effect.exit(client.Double({ n: 1 })))
      for (let seconds = 0; seconds < 60; seconds += 5) {
        lastReceived = seconds * 1000
        yield* TestClock.adjust("5 seconds")
      }
      expect(call.unsafePoll()).toBe(null)
      yield* TestClock.adjust("10 seconds")
      expect(yield* causeOf(Effect.flatten(Fiber.join(call)))).toMatchObject({ cause: { _tag: "HeartbeatTimeout" } })
    })
  )

  it.scoped("by a heartbeat only when nothing is taken, as of calls that take their time", () =>
    Effect.gen(function* () {
      const heartbeat = RpcConnection.heartbeat({ interval: "10 seconds", timeout: "10 seconds" })
      const { client, server, service } = yield* makeFixture({ heartbeat })
      const peer = yield* makePeer
      yield* service.start
      const write = (chunk: string | Uint8Array) => Effect.delay(peer.transport.write(chunk), "5 seconds")
      yield* server.accept({ ...peer.transport, write })
      yield* service.whenConnected()
      for (let n = 0; n < 10; n++) yield* Effect.fork(Effect.exit(client.Keep({ value: "x".repeat(300_000) })))
      yield* settle
      yield* Effect.repeatN(TestClock.adjust("5 seconds"), 10)
      expect((yield* peer.rest).length).toBe(11)
      expect(yield* service.state.get).toMatchObject({ _tag: "Connected" })
      yield* TestClock.adjust("10 seconds")
      expect(yield* service.state.get).toMatchObject({ cause: { error: { _tag: "HeartbeatTimeout" } } })
    })
  )
})
