import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Rpc, RpcClient, type RpcClientError, RpcGroup, RpcSerialization } from "@effect/rpc"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Layer,
  Option,
  Queue,
  Schedule,
  Schema,
  Scope,
  Stream,
  Supervisor,
  TestClock
} from "effect"
import {
  ClientService,
  ConnectionError,
  type ConnectionState,
  InvalidOption,
  RetryPolicy,
  TestEndpoint,
  Transport
} from "effect-client-service"
import { Validate } from "effect-client-service-driver"
import { RpcConnection, RpcConnectionError } from "effect-client-service-rpc"
import { Exchange } from "../src/internal/exchange.js"
import { makePeer } from "./support/peer.js"
import { causeOf, clientOf, makeFixture, Rpcs, settle } from "./support/service.js"

const { ConnectionLost, HeartbeatTimeout, NotConnected, RetriesExhausted, ServiceStopped } = ConnectionError

describe("a connection that is lost", () => {
  it.scoped("fails every call in flight at once, with why it was lost", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const calls = yield* Effect.forEach([1, 2, 3], (n) => Effect.fork(causeOf(client.Double({ n }))))
      yield* Effect.repeatN(peer.request, 2)
      yield* peer.drop("broken")
      for (const call of calls) {
        const cause = yield* Fiber.join(call)
        expect(cause).toBeInstanceOf(ConnectionLost)
        expect(cause).toMatchObject({ service: "test", cause: "broken" })
      }
    })
  )

  it.scoped("ends a stream with the error, after what came before", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const ticks: Array<number> = []
      const end = yield* Effect.fork(
        causeOf(Stream.runForEach(client.Ticks(), (tick) => Effect.sync(() => ticks.push(tick))))
      )
      yield* peer.emit(yield* peer.request, 1, 2)
      yield* peer.next
      yield* peer.drop()
      expect(yield* Fiber.join(end)).toBeInstanceOf(ConnectionLost)
      expect(ticks).toEqual([1, 2])
    })
  )

  it.scoped("ends a stream whose consumer is slow only after all that came", () =>
    Effect.gen(function* () {
      const { accept, client, connect } = yield* makeFixture()
      const peer = yield* connect
      const ticks = yield* client.Ticks(undefined, { asMailbox: true, streamBufferSize: 1 })
      yield* peer.emit(yield* peer.request, 1, 2, 3)
      yield* settle
      yield* peer.drop()
      yield* TestClock.adjust("1 second")
      const next = yield* accept
      for (const n of [1, 2, 3]) expect(yield* ticks.take).toBe(n)
      expect(yield* causeOf(ticks.take)).toBeInstanceOf(ConnectionLost)
      // What was taken late is not acknowledged to a server that knows nothing of it.
      expect(yield* next.rest).toEqual([])
    })
  )

  it.scoped("leaves nothing of its calls to the next one", () =>
    Effect.gen(function* () {
      const { accept, client, connect } = yield* makeFixture()
      const peer = yield* connect
      const call = yield* Effect.fork(Effect.exit(client.Double({ n: 1 })))
      const old = yield* peer.request
      yield* peer.drop()
      yield* Fiber.join(call)
      yield* TestClock.adjust("1 second")
      const next = yield* accept
      const later = yield* Effect.fork(client.Double({ n: 2 }))
      const request = yield* next.request
      expect(request.payload).toEqual({ n: 2 })
      yield* next.answer(old, 100)
      yield* next.answer(request, 4)
      expect(yield* Fiber.join(later)).toBe(4)
      expect(yield* next.rest).toEqual([])
    })
  )

  it.scoped("fails a call that discards its result", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const call = yield* Effect.fork(causeOf(client.Double({ n: 1 }, { discard: true })))
      yield* peer.request
      yield* peer.drop()
      expect(yield* Fiber.join(call)).toBeInstanceOf(ConnectionLost)
    })
  )

  it.scoped("fails the calls of a client of its own", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture()
      const peer = yield* connect
      const connection = yield* service.whenConnected()
      const client = yield* RpcConnection.client(connection, Rpcs)
      const call = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* peer.request
      yield* peer.drop()
      const closed = new Transport.TransportError({ reason: "Closed" })
      expect(yield* Fiber.join(call)).toEqual(closed)
      expect(yield* causeOf(client.Double({ n: 2 }))).toEqual(closed)
      expect(yield* Effect.flip(connection.ping)).toEqual(closed)
    })
  )

  it.scoped("leaves no ping of who was interrupted, at any step", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture()
      const peer = yield* connect
      const connection = yield* service.whenConnected()
      const exchange: unknown = Reflect.get(connection, "exchange")
      const asking = () => (exchange instanceof Exchange ? [...exchange.asking()] : undefined)
      for (let steps = 10; steps < 60; steps++) {
        const asker = yield* Effect.fork(Effect.withMaxOpsBeforeYield(connection.ping, steps))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(asker)
        expect([steps, asking()]).toEqual([steps, []])
      }
      expect(yield* peer.rest).not.toEqual([])
    })
  )

  it.scoped("fails a ping", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture()
      const peer = yield* connect
      const ping = yield* Effect.fork(Effect.flip((yield* service.whenConnected()).ping))
      expect(yield* peer.next).toEqual({ _tag: "Ping" })
      yield* peer.drop()
      expect(yield* Fiber.join(ping)).toEqual(new Transport.TransportError({ reason: "Closed" }))
    })
  )

  it.scoped("lets go of what the client knows of its calls", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      class Mark extends Context.Tag("test/Mark")<Mark, object>() {}
      // In a function of its own, so that no variable holds the mark.
      const marked = Effect.gen(function* () {
        const mark = {}
        const call = yield* Effect.fork(Effect.provideService(Effect.exit(client.Double({ n: 1 })), Mark, mark))
        yield* peer.request
        yield* peer.drop()
        yield* Fiber.join(call)
        return new WeakRef(mark)
      })
      const mark = yield* marked
      yield* settle
      expect(yield* isCollected(mark)).toBe(true)
    })
  )
})

describe("a connection is lost", () => {
  const lostBy = (breaking: (peer: Effect.Effect.Success<typeof makePeer>) => Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      const { client, connect, service } = yield* makeFixture({ retryPolicy: Schedule.stop })
      const peer = yield* connect
      const call = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* peer.request
      yield* breaking(peer)
      const lost = yield* Fiber.join(call)
      yield* settle
      const state = yield* service.state.get
      return { lost, cause: state._tag === "Exhausted" ? Cause.squash(state.cause) : state }
    })

  for (const [reason, text] of [
    ["Undecodable", "a secret that is not JSON\n"],
    ["Unexpected", "{}\n"],
    ["Unexpected", "null\n"],
    ["Unexpected", '{"_tag":"Chunk","requestId":"1","values":[]}\n'],
    ["Unexpected", '{"_tag":"Chunk","values":[1]}\n'],
    ["Unexpected", '{"_tag":"Exit","requestId":"1"}\n'],
    ["Unexpected", '{"_tag":"Exit","requestId":1,"exit":{}}\n'],
    ["Unexpected", '{"_tag":"Defect"}\n'],
    ["Unexpected", '{"_tag":"ClientProtocolError"}\n'],
    ["TooLarge", "x".repeat(16 * 1024 * 1024 + 1)]
  ] as const) {
    it.scoped(`by a peer that sends ${text.slice(0, 60).trim()}`, () =>
      Effect.gen(function* () {
        const { cause, lost } = yield* lostBy((peer) => peer.sendText(text))
        expect(cause).toEqual(new RpcConnectionError.MalformedResponse({ reason }))
        expect(lost).toMatchObject({ _tag: "ConnectionLost", cause })
        expect(String(lost)).not.toContain("secret")
      })
    )
  }

  it.scoped("by a peer that ends, though its endpoint does not tell", () =>
    Effect.gen(function* () {
      const { cause } = yield* lostBy((peer) => peer.end)
      expect(cause).toEqual(new ConnectionLost({ service: "test" }))
    })
  )

  for (const maxWait of [undefined, "1500 millis", "900 millis", 0] as const) {
    it.scoped(`by a write that fails: a later call is for the next one, within its maxWait (${maxWait})`, () =>
      Effect.gen(function* () {
        const { accept, client, connect } = yield* makeFixture({ maxWait })
        const peer = yield* connect
        peer.failWrites(new Transport.TransportError({ reason: "Write" }))
        yield* Effect.fork(Effect.exit(client.Double({ n: 1 })))
        yield* settle
        const later = yield* Effect.fork(Effect.either(client.Double({ n: 2 })))
        yield* TestClock.adjust("900 millis")
        if (maxWait === 0 || maxWait === "900 millis") {
          const error = Either.flip(yield* Fiber.join(later))
          const cause = { _tag: "NotConnected", service: "test", state: { _tag: "Connected" } }
          expect(error).toMatchObject({ right: { cause: { ...cause, maxWait: Duration.decode(maxWait) } } })
          return
        }
        expect(later.unsafePoll()).toBeNull()
        yield* TestClock.adjust("100 millis")
        if (maxWait !== undefined) {
          // The rest of the time is for the next connection.
          yield* TestClock.adjust("500 millis")
          const cause = { _tag: "NotConnected", state: { _tag: "Waiting" }, maxWait: Duration.decode(maxWait) }
          expect(yield* Fiber.join(later)).toMatchObject({ left: { cause } })
          return
        }
        yield* TestClock.adjust("1 second")
        const next = yield* accept
        const request = yield* next.request
        expect(request).toMatchObject({ payload: { n: 2 } })
        yield* next.answer(request, 4)
        expect(yield* Fiber.join(later)).toEqual(Either.right(4))
        expect(yield* next.rest).toEqual([])
      })
    )
  }

  it.scoped("by a transport that dies", () =>
    Effect.gen(function* () {
      const { cause, lost } = yield* lostBy((peer) => peer.die("boom"))
      expect(cause).toEqual(new Transport.TransportError({ reason: "Read", cause: "boom" }))
      expect(lost).toBeInstanceOf(ConnectionLost)
    })
  )

  for (const [error, expected] of [
    [new Transport.TransportError({ reason: "Write" }), new Transport.TransportError({ reason: "Write" })],
    [new Transport.TransportError({ reason: "Closed" }), new ConnectionLost({ service: "test" })]
  ] as const) {
    it.scoped(`by a write that fails as ${error.reason}`, () =>
      Effect.gen(function* () {
        const { client, connect, service } = yield* makeFixture({ retryPolicy: Schedule.stop })
        const peer = yield* connect
        const sent = yield* Effect.fork(client.Double({ n: 1 }))
        const request = yield* peer.request
        peer.failWrites(error)
        const lost = yield* Effect.fork(causeOf(client.Double({ n: 2 })))
        yield* settle
        // The server may have answered before.
        yield* peer.answer(request, 2)
        expect(yield* Fiber.join(sent)).toBe(2)
        expect(lost.unsafePoll()).toBeNull()
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(lost)).toBeInstanceOf(ConnectionLost)
        yield* settle
        const state = yield* service.state.get
        expect(state._tag === "Exhausted" && Cause.squash(state.cause)).toEqual(expected)
      })
    )
  }
})

describe("while there is no connection", () => {
  it.scoped("a call waits, and is sent once", () =>
    Effect.gen(function* () {
      const { accept, client, server, service } = yield* makeFixture()
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* settle
      yield* service.start
      yield* server.refuse("refused")
      yield* TestClock.adjust("1 second")
      const peer = yield* accept
      yield* peer.answer(yield* peer.request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
      expect(yield* peer.rest).toEqual([])
    })
  )

  it.scoped("a call waits that the server of the last one was not sent", () =>
    Effect.gen(function* () {
      const { accept, client, server, service } = yield* makeFixture()
      yield* service.start
      const peer = yield* makePeer
      const connection = yield* server.accept({ ...peer.transport, write: () => Effect.never })
      yield* service.whenConnected()
      const sent = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* settle
      const [unsent, leaving] = yield* Effect.all([
        Effect.fork(client.Double({ n: 2 })),
        Effect.fork(client.Double({ n: 3 }))
      ])
      const stream = yield* Effect.fork(Stream.runHead(client.Ticks()))
      yield* settle
      yield* connection.drop()
      expect(yield* Fiber.join(sent)).toBeInstanceOf(ConnectionLost)
      yield* Fiber.interrupt(leaving)
      yield* TestClock.adjust("1 second")
      const next = yield* accept
      yield* next.answer(yield* next.request, 4)
      yield* next.emit(yield* next.request, 1)
      expect(yield* Fiber.join(unsent)).toBe(4)
      expect(yield* Fiber.join(stream)).toEqual(Option.some(1))
      expect((yield* next.rest).map(({ _tag }) => _tag)).not.toContain("Request")
    })
  )

  it.scoped("a call waits no longer if its connection is lost before it is sent", () =>
    Effect.gen(function* () {
      const { client, server, service } = yield* makeFixture({ maxWait: "1500 millis" })
      yield* service.start
      const peer = yield* makePeer
      const connection = yield* server.accept({ ...peer.transport, write: () => Effect.never })
      yield* Effect.fork(Effect.exit(client.Double({ n: 1 })))
      yield* settle
      const unsent = yield* Effect.fork(causeOf(client.Double({ n: 2 })))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* connection.drop()
      yield* TestClock.adjust("499 millis")
      expect(unsent.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      const maxWait = Duration.millis(1500)
      expect(unsent.unsafePoll()).toMatchObject({
        value: { _tag: "NotConnected", state: { _tag: "Waiting" }, maxWait }
      })
    })
  )

  it.scoped("a stream waits", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const ticks = yield* Effect.fork(Stream.runHead(client.Ticks()))
      yield* settle
      const peer = yield* connect
      yield* peer.emit(yield* peer.request, 1)
      expect(yield* Effect.flatten(Fiber.join(ticks))).toBe(1)
    })
  )

  it.scoped("a call that was interrupted is not sent later", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* settle
      yield* Fiber.interrupt(call)
      const peer = yield* connect
      yield* settle
      expect(yield* peer.rest).toEqual([])
    })
  )

  it.scoped("a call fails at once, and tells what the service is doing, if it may not wait", () =>
    Effect.gen(function* () {
      const { accept, client, server, service } = yield* makeFixture({ maxWait: 0 })
      const expectDown = (tag: ConnectionState.ConnectionState<unknown>["_tag"]) =>
        Effect.gen(function* () {
          for (const call of [client.Double({ n: 1 }), Stream.runDrain(client.Ticks())]) {
            const cause = yield* causeOf(call as Effect.Effect<unknown, RpcClientError.RpcClientError>)
            expect(cause instanceof NotConnected && [cause.service, cause.state._tag]).toEqual(["test", tag])
          }
        })
      yield* expectDown("Init")
      yield* service.start
      yield* expectDown("Connecting")
      yield* server.refuse("refused")
      yield* settle
      yield* expectDown("Waiting")
      yield* TestClock.adjust("1 second")
      const peer = yield* accept
      yield* service.whenConnected()
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* peer.answer(yield* peer.request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
      expect(yield* peer.rest).toEqual([])
      yield* peer.drop()
      yield* settle
      yield* expectDown("Waiting")
    })
  )

  it.scoped("a call waits for as long as it may, which does not bound the call itself", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture({ maxWait: "2 seconds" })
      const late = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      const stream = yield* Effect.fork(causeOf(Stream.runDrain(client.Ticks())))
      yield* TestClock.adjust("1999 millis")
      expect(late.unsafePoll()).toBe(null)
      const inTime = yield* Effect.fork(client.Double({ n: 2 }))
      yield* TestClock.adjust("1 millis")
      for (const cause of [yield* Fiber.join(late), yield* Fiber.join(stream)]) {
        expect(cause).toMatchObject({ _tag: "NotConnected", state: { _tag: "Init" } })
      }
      const peer = yield* connect
      const request = yield* peer.request
      yield* TestClock.adjust("1 hour")
      yield* peer.answer(request, 4)
      expect(yield* Fiber.join(inTime)).toBe(4)
      expect(yield* peer.rest).toEqual([])
    })
  )

  it.scoped("a call that may not wait never does, whenever its connection is lost", () =>
    Effect.gen(function* () {
      const causes = new Set<unknown>()
      for (let steps = 10; steps < 110; steps++) {
        const { client, connect } = yield* makeFixture({ maxWait: 0 })
        const peer = yield* connect
        // It is held up after so many steps, and the connection lost there.
        const call = yield* Effect.fork(Effect.withMaxOpsBeforeYield(causeOf(client.Double({ n: 1 })), steps))
        // Until it is sent, or not.
        yield* steps % 10 === 0 ? settle : Effect.yieldNow()
        yield* peer.drop()
        yield* settle
        expect(call.unsafePoll()).not.toBe(null)
        const cause = yield* Fiber.join(call)
        causes.add(cause instanceof Error && "_tag" in cause ? cause._tag : cause)
      }
      expect(causes).toEqual(new Set(["NotConnected", "ConnectionLost"]))
    })
  )

  for (const maxWait of [undefined, 0]) {
    it.scoped(`every caller learns that the service is stopped (${maxWait})`, () =>
      Effect.gen(function* () {
        const { client, connect, service } = yield* makeFixture({ maxWait })
        const peer = yield* connect
        const inFlight = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
        yield* peer.request
        yield* service.stop
        expect(yield* Fiber.join(inFlight)).toBeInstanceOf(ConnectionLost)
        const stopped = new ServiceStopped({ service: "test" })
        expect(yield* causeOf(client.Double({ n: 1 }))).toEqual(stopped)
        expect(yield* causeOf(Stream.runDrain(client.Ticks()))).toEqual(stopped)
        expect(yield* causeOf(client.Double({ n: 1 }, { discard: true }))).toEqual(stopped)
      })
    )

    it.scoped(`every caller learns that the retry policy has ended (${maxWait})`, () =>
      Effect.gen(function* () {
        const { client, server, service } = yield* makeFixture({ maxWait, retryPolicy: Schedule.recurs(1) })
        yield* service.start
        yield* server.refuse("refused")
        yield* server.refuse("refused")
        yield* settle
        for (const call of [client.Double({ n: 1 }), Stream.runDrain(client.Ticks())]) {
          const cause = yield* causeOf(call as Effect.Effect<unknown, RpcClientError.RpcClientError>)
          expect(cause).toBeInstanceOf(RetriesExhausted)
          expect(cause).toMatchObject({ service: "test", failures: 2, cause: Cause.fail("refused") })
        }
      })
    )
  }

  it.scoped("callers that wait learn that the retry policy has ended, and that the service is stopped", () =>
    Effect.gen(function* () {
      const { client, server, service } = yield* makeFixture({ retryPolicy: Schedule.stop })
      const early = yield* Effect.forEach([1, 2], (n) => Effect.fork(causeOf(client.Double({ n }))))
      yield* service.start
      yield* server.refuse("refused")
      for (const call of early) expect(yield* Fiber.join(call)).toBeInstanceOf(RetriesExhausted)

      yield* service.start
      const late = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* settle
      yield* service.stop
      expect(yield* Fiber.join(late)).toBeInstanceOf(ServiceStopped)
    })
  )
})

describe("the retry policy", () => {
  it.scoped("begins afresh after each of 50 connections of an hour, under calls that wait", () =>
    Effect.gen(function* () {
      const { accept, client, connect, server } = yield* makeFixture({
        retryPolicy: RetryPolicy.fromFunction((failures) => `${failures} seconds`)
      })
      let peer = yield* connect
      for (let cycle = 0; cycle < 50; cycle++) {
        yield* TestClock.adjust("1 hour")
        yield* peer.drop()
        const call = yield* Effect.fork(client.Double({ n: cycle }))
        yield* TestClock.adjust("999 millis")
        expect(yield* server.attempts).toBe(cycle + 1)
        yield* TestClock.adjust("1 millis")
        expect(yield* server.attempts).toBe(cycle + 2)
        peer = yield* accept
        yield* peer.answer(yield* peer.request, 2 * cycle)
        expect(yield* Fiber.join(call)).toBe(2 * cycle)
      }
    })
  )
})

describe("a call", () => {
  it.scoped("is interrupted at the server when it is interrupted, once", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      const { id: requestId } = yield* peer.request
      yield* Fiber.interrupt(call)
      yield* settle
      expect(yield* peer.rest).toEqual([{ _tag: "Interrupt", requestId }])
    })
  )

  it.scoped("is not interrupted at the server once it is answered", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* peer.answer(yield* peer.request, 2)
      yield* Fiber.join(call)
      const ticks = yield* Effect.fork(Stream.runCollect(client.Ticks()))
      yield* peer.answer(yield* peer.request, undefined)
      yield* Fiber.join(ticks)
      yield* settle
      expect(yield* peer.rest).toEqual([])
    })
  )

  it.scoped("that discards its result completes when it is answered", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const call = yield* Effect.fork(client.Double({ n: 1 }, { discard: true }))
      const request = yield* peer.request
      yield* settle
      expect(call.unsafePoll()).toBe(null)
      yield* peer.answer(request, 2)
      expect(yield* Fiber.join(call)).toBe(undefined)
    })
  )

  it.scoped("acknowledges the elements of a stream when there is room for more", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const ticks = yield* client.Ticks(undefined, { asMailbox: true, streamBufferSize: 2 })
      const request = yield* peer.request
      const ack = { _tag: "Ack", requestId: request.id }
      yield* peer.emit(request, 1, 2)
      expect(yield* peer.next).toEqual(ack)
      yield* peer.emit(request, 3)
      yield* settle
      expect(yield* peer.rest).toEqual([])
      expect(yield* ticks.take).toBe(1)
      expect(yield* peer.next).toEqual(ack)
    })
  )

  it.scoped("is held up by no stream that nobody reads, and neither is a ping", () =>
    Effect.gen(function* () {
      const { client, connect, service } = yield* makeFixture()
      const peer = yield* connect
      yield* client.Ticks(undefined, { asMailbox: true, streamBufferSize: 1 })
      const stream = yield* peer.request
      yield* peer.emit(stream, 1, 2, 3)
      yield* peer.emit(stream, 4, 5, 6)
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* peer.answer(yield* peer.request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
      const ping = yield* Effect.fork((yield* service.whenConnected()).ping)
      yield* peer.next
      yield* peer.send({ _tag: "Pong" })
      yield* Fiber.join(ping)
    })
  )

  for (const isLost of [false, true]) {
    it.scoped(
      `that is a stream leaves no fiber when it is given up${isLost ? ", its connection being lost" : ""}`,
      () =>
        Effect.gen(function* () {
          const supervisor = yield* Supervisor.track
          yield* Effect.gen(function* () {
            const { client, connect, service } = yield* makeFixture()
            const peer = yield* connect
            const scope = yield* Scope.make()
            yield* settle
            const before = (yield* supervisor.value).length
            yield* Scope.extend(client.Ticks(undefined, { asMailbox: true, streamBufferSize: 1 }), scope)
            yield* peer.emit(yield* peer.request, 1, 2, 3)
            yield* settle
            if (isLost) {
              yield* peer.drop()
              yield* settle
            }
            yield* Scope.close(scope, Exit.void)
            if (isLost) yield* service.stop
            yield* settle
            // Without the connection, there is that of the client alone.
            expect((yield* supervisor.value).length).toBe(isLost ? 1 : before)
          }).pipe(Effect.supervised(supervisor))
        })
    )
  }

  it.scoped("gets the elements of a stream in order, though it is slow and the server does not wait", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const ticks = yield* client.Ticks(undefined, { asMailbox: true, streamBufferSize: 1 })
      const stream = yield* peer.request
      for (let n = 0; n < 10; n++) yield* peer.emit(stream, 2 * n, 2 * n + 1)
      yield* peer.answer(stream, undefined)
      yield* settle
      for (let n = 0; n < 20; n++) expect(yield* ticks.take).toBe(n)
      expect(Exit.isFailure(yield* Effect.exit(ticks.take))).toBe(true)
    })
  )

  it.scoped("that gets an answer of another type dies alone, and its stream is interrupted at the server", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const other = yield* Effect.fork(client.Double({ n: 1 }))
      const otherRequest = yield* peer.request
      const call = yield* Effect.fork(Effect.exit(client.Double({ n: 2 })))
      yield* peer.answer(yield* peer.request, "four")
      const exit = yield* Fiber.join(call)
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)

      const ticks = yield* Effect.fork(Effect.exit(Stream.runDrain(client.Ticks())))
      const stream = yield* peer.request
      yield* peer.emit(stream, "tick")
      const end = yield* Fiber.join(ticks)
      expect(Exit.isFailure(end) && Cause.isDie(end.cause)).toBe(true)
      expect(yield* peer.next).toEqual({ _tag: "Interrupt", requestId: stream.id })

      yield* peer.answer(otherRequest, 2)
      expect(yield* Fiber.join(other)).toBe(2)
    })
  )

  it.scoped("dies of an error for no call, as of one that a server of JSON-RPC could not read", () =>
    Effect.gen(function* () {
      const { client, connect, service } = yield* makeFixture()
      const peer = yield* connect
      const calls = yield* Effect.forEach([1, 2], (n) => Effect.fork(Effect.exit(client.Double({ n }))))
      yield* Effect.all([peer.request, peer.request])
      const defect = { code: -32700, message: "Parse error" }
      const cause = { _tag: "Die", defect } as const
      // What `id: null` becomes.
      yield* peer.send({ _tag: "Exit", requestId: "null", exit: { _tag: "Failure", cause } })
      for (const call of calls) {
        const exit = yield* Fiber.join(call)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ message: "Parse error" })
      }
      expect((yield* service.state.get)._tag).toBe("Connected")
    })
  )

  it.scoped.each([
    { isShared: true, isTogether: false },
    { isShared: true, isTogether: true },
    { isShared: false, isTogether: false }
  ])("whose schema throws is told so, and takes no others with it (%o)", ({ isShared, isTogether }) =>
    Effect.gen(function* () {
      const boom = (): never => {
        throw new Error("boom")
      }
      const throwing = Schema.transform(Schema.Number, Schema.Number, {
        decode: (n) => (n === 1 ? boom() : n),
        encode: (n) => n
      })
      const unencodable = Schema.transform(Schema.Number, Schema.Number, { decode: (n) => n, encode: boom })
      const group = RpcGroup.make(
        Rpc.make("Once", { success: throwing }),
        Rpc.make("Encoded", { payload: { n: unencodable } }),
        Rpc.make("Ticks", { success: throwing, stream: true }),
        Rpc.make("Refused", { success: Schema.Number, error: throwing, stream: true })
      )
      const { connect, service } = yield* makeFixture()
      const peer = yield* connect
      const protocol = RpcConnection.makeProtocol(service)
      const make = <Rpcs extends Rpc.Any>(group: RpcGroup.RpcGroup<Rpcs>) =>
        Effect.provideService(RpcClient.make(group), RpcClient.Protocol, protocol)
      // Of which one is asked after the other.
      const [client, odd] = isShared
        ? [yield* make(Rpcs), yield* make(group)]
        : [yield* clientOf(service), yield* make(group)]
      const once = yield* Effect.fork(Effect.exit(odd.Once()))
      const onceRequest = yield* peer.request
      const taken: Array<number> = []
      const take = <E>(stream: Stream.Stream<number, E>) =>
        Effect.fork(Effect.exit(Stream.runForEach(stream, (n) => Effect.sync(() => taken.push(n)))))
      const ticks = yield* take(odd.Ticks())
      const ticksRequest = yield* peer.request
      const ended = yield* take(odd.Ticks())
      const endedRequest = yield* peer.request
      const refused = yield* take(odd.Refused())
      const refusedRequest = yield* peer.request
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      const request = yield* peer.request
      const last = { _tag: "Exit", requestId: onceRequest.id, exit: { _tag: "Success", value: 1 } }
      const messages = [
        ...(isTogether ? [last] : []),
        { _tag: "Chunk", requestId: ticksRequest.id, values: [1] },
        { _tag: "Chunk", requestId: ticksRequest.id, values: [3] },
        { _tag: "Chunk", requestId: endedRequest.id, values: [1] },
        { _tag: "Exit", requestId: endedRequest.id, exit: { _tag: "Success" } },
        { _tag: "Chunk", requestId: refusedRequest.id, values: [1, 2] },
        { _tag: "Exit", requestId: refusedRequest.id, exit: { _tag: "Failure", cause: { _tag: "Fail", error: 1 } } },
        { _tag: "Exit", requestId: request.id, exit: { _tag: "Success", value: 2 } }
      ]
      yield* peer.sendText(messages.map((message) => `${JSON.stringify(message)}\n`).join(""))
      if (!isTogether) yield* peer.sendText(`${JSON.stringify(last)}\n`)
      expect(yield* Fiber.join(call)).toBe(2)
      const ends: ReadonlyArray<Exit.Exit<unknown, unknown>> = [
        yield* Fiber.join(once),
        yield* Fiber.join(ticks),
        yield* Fiber.join(ended),
        yield* Fiber.join(refused)
      ]
      for (const end of ends) {
        expect(Exit.isFailure(end) && Cause.squash(end.cause)).toMatchObject({ message: "boom" })
      }
      expect(taken).toEqual([1, 2])
      expect(Cause.squash(yield* Effect.flip(Effect.sandbox(odd.Encoded({ n: 1 }))))).toMatchObject({ message: "boom" })
      expect((yield* peer.rest).filter(({ _tag }) => _tag === "Interrupt")).toEqual([
        { _tag: "Interrupt", requestId: ticksRequest.id }
      ])
    })
  )

  it.scoped("dies of a defect of the server, though the schema of the last one has thrown for what came with it", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture()
      const peer = yield* connect
      const boom = (): never => {
        throw new Error("boom")
      }
      const throwing = Schema.transform(Schema.Number, Schema.Number, { decode: boom, encode: (n) => n })
      const group = RpcGroup.make(Rpc.make("Once"), Rpc.make("Ticks", { success: throwing, stream: true }))
      const protocol = RpcConnection.makeProtocol(service)
      const odd = yield* Effect.provideService(RpcClient.make(group), RpcClient.Protocol, protocol)
      const calls = [
        yield* Effect.forkScoped(Effect.sandbox(odd.Once())),
        yield* Effect.forkScoped(Effect.sandbox(Stream.runDrain(odd.Ticks())))
      ]
      yield* peer.request
      const { id: requestId } = yield* peer.request
      const messages = [
        { _tag: "Chunk", requestId, values: [1] },
        { _tag: "Defect", defect: "broken" }
      ]
      yield* peer.sendText(messages.map((message) => `${JSON.stringify(message)}\n`).join(""))
      yield* settle
      const defects = calls.map((call) => {
        const exit = call.unsafePoll()
        return exit !== null && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit
      })
      expect(defects).toEqual([Cause.die("broken"), Cause.die("broken")])
    })
  )

  it.scoped("dies of a defect of the server, as every other one in flight", () =>
    Effect.gen(function* () {
      const { client, connect, service } = yield* makeFixture()
      const another = yield* clientOf(service)
      const peer = yield* connect
      const calls = yield* Effect.forEach([client, another, client], (client) =>
        Effect.fork(Effect.exit(client.Double({ n: 1 })))
      )
      const ids = [(yield* peer.request).id, (yield* peer.request).id, (yield* peer.request).id]
      yield* peer.send({ _tag: "Defect", defect: "boom" })
      for (const call of calls) expect(yield* Fiber.join(call)).toEqual(Exit.die("boom"))
      yield* settle
      // It goes on with all but one of them.
      expect(yield* peer.rest).toEqual(ids.map((requestId) => ({ _tag: "Interrupt", requestId })))
    })
  )

  const interrupt = { _tag: "Interrupt", fiberId: { _tag: "None" } } as const
  it.scoped.each<[string, Schema.CauseEncoded<never, never>]>([
    ["at once", interrupt],
    ["with what it had begun", { _tag: "Parallel", left: interrupt, right: { _tag: "Empty" } }],
    ["after what it had begun", { _tag: "Sequential", left: interrupt, right: interrupt }]
  ])("fails if the server interrupts it, as one does that is stopped: %s", ([, cause]) =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const calls = [client.Double({ n: 1 }), client.Double({ n: 1 }, { discard: true })]
      for (const call of calls) {
        const failed = yield* Effect.fork(causeOf(call))
        const { id: requestId } = yield* peer.request
        yield* peer.send({ _tag: "Exit", requestId, exit: { _tag: "Failure", cause } })
        expect(yield* Fiber.join(failed)).toBeInstanceOf(RpcConnectionError.CallInterrupted)
      }
      const later = yield* Effect.fork(client.Double({ n: 2 }))
      yield* peer.answer(yield* peer.request, 4)
      expect(yield* Fiber.join(later)).toBe(4)
      expect(yield* peer.rest).toEqual([])
    })
  )

  it.scoped("ends its stream with an error if the server interrupts it, after what came in the same bytes", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      const ticks: Array<number> = []
      const end = yield* Effect.fork(
        causeOf(Stream.runForEach(client.Ticks(), (tick) => Effect.sync(() => ticks.push(tick))))
      )
      const { id: requestId } = yield* peer.request
      const chunk = { _tag: "Chunk", requestId, values: [1, 2] }
      const exit = { _tag: "Exit", requestId, exit: { _tag: "Failure", cause: interrupt } }
      yield* peer.sendText(`${JSON.stringify(chunk)}\n${JSON.stringify(exit)}\n`)
      expect(yield* Fiber.join(end)).toBeInstanceOf(RpcConnectionError.CallInterrupted)
      expect(ticks).toEqual([1, 2])
    })
  )

  it.scoped("has its answer, though its connection is lost in any moment after that has come", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 40; steps++) {
        const { client, connect } = yield* makeFixture()
        const peer = yield* connect
        const call = yield* Effect.fork(Effect.exit(client.Double({ n: 1 })))
        yield* peer.answer(yield* peer.request, 2)
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        yield* peer.drop()
        yield* settle
        expect([steps, call.unsafePoll()]).toEqual([steps, Exit.succeed(Exit.succeed(2))])
      }
    })
  )

  it.scoped("that can't be encoded dies, and leaves the connection alone", () =>
    Effect.gen(function* () {
      const { client, connect } = yield* makeFixture()
      const peer = yield* connect
      // In a function of its own, so that no variable holds the value.
      const keep = Effect.suspend(() => {
        const value = { big: 1n }
        return Effect.map(Effect.exit(client.Keep({ value })), (exit) => {
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBeInstanceOf(TypeError)
          return new WeakRef(value)
        })
      })
      const value = yield* keep
      yield* settle
      expect(yield* isCollected(value)).toBe(true)
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* peer.answer(yield* peer.request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
    })
  )

  it.scoped("in flight on a connection that is replaced for its age goes on there, and a later one does not", () =>
    Effect.gen(function* () {
      const { accept, client, connect, server } = yield* makeFixture({ maxAge: "1 hour", closeTimeout: "30 minutes" })
      const old = yield* connect
      const early = yield* Effect.fork(client.Double({ n: 1 }))
      const earlyRequest = yield* old.request
      const accepting = yield* Effect.fork(accept)
      yield* TestClock.adjust("1 hour")
      const next = yield* Fiber.join(accepting)
      yield* settle
      expect(yield* server.closes).toBe(0)

      const late = yield* Effect.fork(client.Double({ n: 2 }))
      yield* next.answer(yield* next.request, 4)
      expect(yield* Fiber.join(late)).toBe(4)
      yield* old.answer(earlyRequest, 2)
      expect(yield* Fiber.join(early)).toBe(2)
      yield* old.awaitClosed
      expect(yield* old.rest).toEqual([])
      expect(yield* next.rest).toEqual([])
    })
  )

  it.scoped("that is not done when its connection is too old fails alone", () =>
    Effect.gen(function* () {
      const { accept, client, connect } = yield* makeFixture({ maxAge: "1 hour", closeTimeout: "30 minutes" })
      const old = yield* connect
      const early = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* old.request
      const accepting = yield* Effect.fork(accept)
      yield* TestClock.adjust("1 hour")
      const next = yield* Fiber.join(accepting)
      yield* settle
      const late = yield* Effect.fork(client.Double({ n: 2 }))
      const request = yield* next.request
      yield* TestClock.adjust("30 minutes")
      expect(yield* Fiber.join(early)).toBeInstanceOf(ConnectionLost)
      yield* next.answer(request, 4)
      expect(yield* Fiber.join(late)).toBe(4)
    })
  )
})

describe("whoever is answered before the server ends", () => {
  const endings: Record<string, (peer: Effect.Effect.Success<typeof makePeer>) => Effect.Effect<unknown>> = {
    ends: (peer) => peer.end,
    "is cut off": (peer) => peer.die("boom"),
    "sends what is no response": (peer) => peer.sendText("{}\n")
  }
  const acted = Effect.sleep("10 millis")

  for (const [how, end] of Object.entries(endings)) {
    it.scoped(`has the time to act on that, in a use, and all others are told at once after it (it ${how})`, () =>
      Effect.gen(function* () {
        const { client, connect, service } = yield* makeFixture()
        const peer = yield* connect
        const own = yield* RpcConnection.client(yield* service.whenConnected(), Rpcs)
        const using = yield* Effect.fork(Effect.exit(service.use(() => Effect.zipLeft(own.Double({ n: 1 }), acted))))
        const request = yield* peer.request
        const pinging = yield* Effect.fork(Effect.exit(service.use(({ ping }) => Effect.zipRight(ping, acted))))
        expect((yield* peer.next)._tag).toBe("Ping")
        const other = yield* Effect.fork(causeOf(client.Double({ n: 2 })))
        yield* peer.request
        yield* peer.send({ _tag: "Pong" })
        yield* peer.answer(request, 2)
        yield* end(peer)
        yield* settle
        expect(other.unsafePoll()).toBeNull()
        yield* TestClock.adjust("10 millis")
        expect(yield* Fiber.join(using)).toEqual(Exit.succeed(2))
        expect(yield* Fiber.join(pinging)).toEqual(Exit.void)
        expect(yield* Fiber.join(other)).toBeInstanceOf(ConnectionLost)
      })
    )
  }

  it.scoped("is not waited for once it asks again, nor for longer than a second", () =>
    Effect.gen(function* () {
      for (const isAsking of [true, false]) {
        const { connect, service } = yield* makeFixture()
        const peer = yield* connect
        const own = yield* RpcConnection.client(yield* service.whenConnected(), Rpcs)
        const then = isAsking ? own.Double({ n: 2 }) : Effect.never
        const using = yield* Effect.fork(Effect.flip(service.use(() => Effect.zipRight(own.Double({ n: 1 }), then))))
        yield* peer.answer(yield* peer.request, 2)
        yield* peer.end
        yield* settle
        expect(using.unsafePoll() === null).toBe(!isAsking)
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(using)).toBeInstanceOf(ConnectionLost)
      }
    })
  )
})

describe("prepare", () => {
  it.scoped("authenticates on each connection, before anyone has it", () =>
    Effect.gen(function* () {
      const { accept, client, connect, service } = yield* makeFixture({
        prepare: (connection) =>
          Effect.flatMap(RpcConnection.client(connection, Rpcs), (client) => client.Login({ user: "alice" }))
      })
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      let peer = yield* connect

      // The server refuses it at first.
      const refused = yield* peer.request
      expect(refused).toMatchObject({ tag: "Login", payload: { user: "alice" } })
      yield* peer.send({
        _tag: "Exit",
        requestId: refused.id,
        exit: { _tag: "Failure", cause: { _tag: "Fail", error: "wrong" } }
      })
      yield* settle
      const state = yield* service.state.get
      expect(state._tag === "Waiting" && Cause.squash(state.cause)).toBe("wrong")

      // Then the connection is lost while it waits.
      yield* TestClock.adjust("1 second")
      peer = yield* accept
      expect(yield* peer.request).toMatchObject({ tag: "Login" })
      yield* peer.drop("broken")
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Waiting")

      for (const n of [1, 2]) {
        yield* TestClock.adjust("1 second")
        peer = yield* accept
        const login = yield* peer.request
        expect(login.tag).toBe("Login")
        yield* settle
        expect(yield* peer.rest).toEqual([])
        yield* peer.answer(login, undefined)
        if (n === 1) {
          yield* peer.answer(yield* peer.request, 2)
          expect(yield* Fiber.join(call)).toBe(2)
        } else yield* service.whenConnected()
        yield* peer.drop()
      }
    })
  )
})

describe("a server that does not read", () => {
  const bounded = (options: { readonly maxWaiting: number } | { readonly maxWaitingBytes: number }) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Transport.Transport, "refused">()
      const context = yield* RpcConnection.layer({ endpoint: server.endpoint, heartbeat: false, ...options }).pipe(
        Layer.provide(RpcSerialization.layerNdjson),
        Layer.build
      )
      return { client: yield* Effect.provide(RpcClient.make(Rpcs), context), server }
    })

  /** Has a connection accepted by a peer that takes what is written each time that this has come about. */
  const acceptReading = <E>(server: TestEndpoint.TestEndpoint<Transport.Transport, E>, reads: Effect.Effect<void>) =>
    Effect.gen(function* () {
      const peer = yield* makePeer
      const write: Transport.Transport["write"] = (chunk) => Effect.zipRight(reads, peer.transport.write(chunk))
      yield* server.accept({ ...peer.transport, write })
      yield* settle
      return peer
    })

  it.scoped.each([{ maxWaiting: 0 }, { maxWaitingBytes: 0 }])("has no call wait behind another with %o", (options) =>
    Effect.gen(function* () {
      const { client, server } = yield* bounded(options)
      const reads = yield* Queue.unbounded<void>()
      const peer = yield* acceptReading(server, Queue.take(reads))
      for (const n of [1, 2]) {
        yield* Effect.zipLeft(Effect.fork(Effect.exit(client.Double({ n }))), settle)
        expect(yield* causeOf(client.Double({ n: 3 }))).toMatchObject({ _tag: "Overloaded" })
        yield* Queue.offer(reads, undefined)
        expect(yield* peer.request).toMatchObject({ payload: { n } })
        yield* settle
      }
    })
  )

  for (const [name, options] of [
    ["messages than maxWaiting", { maxWaiting: 2 }],
    ["bytes than maxWaitingBytes", { maxWaitingBytes: 200 }]
  ] as const) {
    it.scoped(`has no more ${name} wait: other calls fail at once, and one that leaves makes room`, () =>
      Effect.gen(function* () {
        const { client, server } = yield* bounded(options)
        const reads = yield* Deferred.make<void>()
        const peer = yield* acceptReading(server, Deferred.await(reads))
        const call = (n: number) => Effect.zipLeft(Effect.fork(Effect.exit(client.Double({ n }))), settle)
        yield* call(1)
        yield* call(2)
        const leaving = yield* call(3)
        const overloaded = yield* causeOf(client.Double({ n: 4 }))
        expect(overloaded).toBeInstanceOf(RpcConnectionError.Overloaded)
        yield* Fiber.interrupt(leaving)
        yield* call(5)
        expect(yield* causeOf(client.Double({ n: 6 }))).toMatchObject({ _tag: "Overloaded" })
        yield* Deferred.succeed(reads, undefined)
        const sent: Array<unknown> = []
        for (let i = 0; i < 3; i++) sent.push((yield* peer.request).payload)
        expect(sent).toEqual([{ n: 1 }, { n: 2 }, { n: 5 }])
        yield* call(7)
        expect(yield* peer.request).toMatchObject({ payload: { n: 7 } })
      })
    )

    it.scoped(`has no more ${name} wait while it takes one message after the other`, () =>
      Effect.gen(function* () {
        // Of more than goes out in one write.
        const value = "x".repeat(300_000)
        const { client, server } = yield* bounded(
          "maxWaiting" in options ? options : { maxWaitingBytes: 2 * value.length }
        )
        const reads = yield* Queue.unbounded<void>()
        yield* acceptReading(server, Queue.take(reads))
        for (let n = 1; n <= 3; n++) yield* Effect.zipLeft(Effect.fork(Effect.exit(client.Keep({ value }))), settle)
        expect(yield* causeOf(client.Keep({ value }))).toMatchObject({ _tag: "Overloaded" })
        yield* Queue.offer(reads, undefined)
        yield* settle
        // One is written, and another waits.
        yield* Effect.zipLeft(Effect.fork(Effect.exit(client.Keep({ value }))), settle)
        const refused = yield* Effect.fork(causeOf(client.Keep({ value })))
        yield* settle
        expect(refused.unsafePoll()).toMatchObject({ _tag: "Success", value: { _tag: "Overloaded" } })
      })
    )

    it.scoped(`has not refused those who have waited for a connection, though they are more ${name}`, () =>
      Effect.gen(function* () {
        const { client, server } = yield* bounded(options)
        const numbers = [1, 2, 3, 4, 5]
        const calls = yield* Effect.forEach(numbers, (n) => Effect.fork(Effect.exit(client.Double({ n }))))
        yield* settle
        const peer = yield* makePeer
        yield* server.accept(peer.transport)
        yield* settle
        for (const n of numbers) expect(yield* peer.request).toMatchObject({ payload: { n } })
        expect(calls.map((call) => call.unsafePoll())).toEqual(numbers.map(() => null))
      })
    )
  }
})

describe("the heartbeat", () => {
  it.scoped("pings, and keeps a connection whose server answers", () =>
    Effect.gen(function* () {
      const { connect, service } = yield* makeFixture({ heartbeat: RpcConnection.heartbeat() })
      const peer = yield* connect
      for (let beat = 0; beat < 3; beat++) {
        yield* TestClock.adjust("9999 millis")
        expect(yield* peer.rest).toEqual([])
        yield* TestClock.adjust("1 millis")
        expect(yield* peer.next).toEqual({ _tag: "Ping" })
        yield* TestClock.adjust("9999 millis")
        yield* peer.send({ _tag: "Pong" })
        yield* settle
      }
      expect((yield* service.state.get)._tag).toBe("Connected")
    })
  )

  it.scoped("loses a connection whose server is silent, and fails the calls in flight with that", () =>
    Effect.gen(function* () {
      const heartbeat = RpcConnection.heartbeat({ interval: "30 seconds", timeout: "5 seconds" })
      const { client, connect } = yield* makeFixture({ heartbeat })
      const peer = yield* connect
      const call = yield* Effect.fork(causeOf(client.Double({ n: 1 })))
      yield* peer.request
      yield* TestClock.adjust("30 seconds")
      expect(yield* peer.next).toEqual({ _tag: "Ping" })
      yield* TestClock.adjust("4999 millis")
      expect(call.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(call)).toMatchObject({ _tag: "ConnectionLost", cause: expect.any(HeartbeatTimeout) })
    })
  )
})

describe("the Layer of the protocol and its service", () => {
  const makeLayer = <W extends ClientService.WaitForConnection = never>(waitForConnection?: W) =>
    Effect.map(TestEndpoint.make<Transport.Transport, "refused">(), (server) => ({
      server,
      layer: RpcConnection.layer({ endpoint: server.endpoint, waitForConnection, maxWait: 0 }).pipe(
        Layer.provide(RpcSerialization.layerNdjson)
      )
    }))

  it.scoped("has a heartbeat, passes on its options, and stops its service when it is released", () =>
    Effect.gen(function* () {
      const { layer, server } = yield* makeLayer()
      const scope = yield* Scope.make()
      const context = yield* Scope.extend(Layer.build(layer), scope)
      const client = yield* Effect.provide(RpcClient.make(Rpcs), context)
      expect(yield* causeOf(client.Double({ n: 1 }))).toBeInstanceOf(NotConnected)
      const peer = yield* makePeer
      const connection = yield* server.accept(peer.transport)
      yield* settle
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* peer.answer(yield* peer.request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
      yield* TestClock.adjust("10 seconds")
      expect(yield* peer.next).toEqual({ _tag: "Ping" })
      yield* Scope.close(scope, Exit.void)
      expect(yield* connection.closed).toBe(true)
    })
  )

  for (const [heartbeat, interval, next] of [
    [{ interval: "1 minute" }, "1 minute", { _tag: "Ping" }],
    [RpcConnection.heartbeat({ interval: "2 minutes" }), "2 minutes", { _tag: "Ping" }],
    [false, "1 hour", { _tag: "Request" }]
  ] as const) {
    it.scoped(`has ${heartbeat === false ? "no heartbeat" : `one each ${interval}`} if told so`, () =>
      Effect.gen(function* () {
        const server = yield* TestEndpoint.make<Transport.Transport, "refused">()
        const context = yield* RpcConnection.layer({ endpoint: server.endpoint, heartbeat }).pipe(
          Layer.provide(RpcSerialization.layerNdjson),
          Layer.build
        )
        const peer = yield* makePeer
        yield* server.accept(peer.transport)
        yield* settle
        yield* TestClock.adjust(interval)
        const client = yield* Effect.provide(RpcClient.make(Rpcs), context)
        yield* Effect.fork(client.Double({ n: 1 }))
        expect(yield* peer.next).toMatchObject(next)
      })
    )
  }

  it.scoped("takes its endpoint from the configuration, and refuses there what makes no sense", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Transport.Transport, "refused">()
      const endpoint = Config.mapAttempt(Config.integer("PORT"), (port) => {
        Validate.integer("test", "port", port, 1, 65535)
        return server.endpoint
      })
      const build = (port: string) =>
        RpcConnection.layerConfig(endpoint, { maxWait: 0, waitForConnection: { failAfterFailures: 1 } }).pipe(
          Layer.provide(RpcSerialization.layerNdjson),
          Layer.build,
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["PORT", port]])))
        )
      expect(yield* Effect.flip(build("0"))).toMatchObject({ _op: "InvalidData" })
      const building = yield* Effect.fork(build("4000"))
      const peer = yield* makePeer
      yield* server.accept(peer.transport)
      const client = yield* Effect.provide(RpcClient.make(Rpcs), yield* Fiber.join(building))
      const call = yield* Effect.fork(client.Double({ n: 1 }))
      yield* peer.answer(yield* peer.request, 2)
      expect(yield* Fiber.join(call)).toBe(2)
    })
  )

  it.scoped("is built once there is a connection, or fails as an attempt does, if told to wait", () =>
    Effect.gen(function* () {
      const { layer, server } = yield* makeLayer({ failAfterFailures: 1 })
      yield* server.script(TestEndpoint.refused("refused"))
      expect(yield* Effect.flip(Layer.build(layer))).toBe("refused")
      const building = yield* Effect.fork(Layer.build(Layer.fresh(layer)))
      yield* settle
      expect(building.unsafePoll()).toBe(null)
      yield* server.accept((yield* makePeer).transport)
      yield* Fiber.join(building)
    })
  )
})

describe("options that make no sense are refused", () => {
  it("maxWait", () => {
    const options: RpcConnection.ProtocolOptions = { maxWait: -1 }
    class Tag extends ClientService.Tag("test/Tag")<Tag, RpcConnection.RpcConnection>() {}
    expect(() => RpcConnection.layerProtocol(Tag, options)).toThrow(InvalidOption.InvalidOption)
    expect(() => RpcConnection.layerProtocol(Tag, options)).toThrow(/^RpcConnection.layerProtocol: maxWait must be /)
  })
})

// The collector runs when it likes, unless it is made to.
const isCollected = (reference: WeakRef<object>) =>
  Effect.sync(() => {
    setFlagsFromString("--expose-gc")
    runInNewContext("gc")()
    return reference.deref() === undefined
  }).pipe(
    Effect.zipLeft(Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))),
    Effect.repeat({ until: (isCollected) => isCollected, times: 10 })
  )
