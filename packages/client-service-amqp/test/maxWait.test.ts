import { EventEmitter } from "node:events"
import { describe, expect, it } from "@effect/vitest"
import { type ConfirmChannel, IllegalOperationError } from "amqplib"
import { Cause, Duration, Effect, Fiber, Logger, LogLevel, TestClock } from "effect"
import { ConnectionError, ConnectionState, RetryPolicy, TestEndpoint } from "effect-client-service"
import { Amqp, type AmqpConnection, AmqpError } from "effect-client-service-amqp"
import { Gate } from "../src/internal/gate.js"
import { Publisher } from "../src/internal/publisher.js"
import { Publishing } from "../src/internal/publishing.js"

const closed = new AmqpError.AmqpError({ reason: "ChannelClosed", endpoint: "test" })

/** A service, and a connection for it whose channel the test opens, and whose confirms it gives. */
const fixtureOf = (maxWaiting = 100_000) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<AmqpConnection.AmqpConnection, AmqpError.AmqpError>()
    const retryPolicy = RetryPolicy.fromFunction(() => "10 seconds")
    const gate = new Gate(undefined)
    const confirms: Array<() => void> = []
    const makeConnection = () => {
      const publishing = new Publishing(gate, { endpoint: "test", maxWaiting })
      const isFound = { closed: false }
      const publish = (...args: ReadonlyArray<unknown>) => {
        if (isFound.closed) throw new IllegalOperationError("Channel closed", "")
        const confirm = args[4]
        if (typeof confirm === "function") confirms.push(() => void confirm(null))
        return true
      }
      const channel = Object.assign(new EventEmitter(), { publish }) as unknown as ConfirmChannel
      const connection = {
        publishing,
        publisher: {
          name: "channel",
          state: () =>
            ConnectionState.Waiting({ failures: 1, delay: Duration.zero, retryAt: 0, cause: Cause.fail(closed) })
        },
        use: (f: () => Promise<unknown>) => Effect.promise(f),
        hasEnded: () => false
      } as unknown as AmqpConnection.AmqpConnection
      const open = Effect.sync(() => publishing.opened(new Publisher(channel, "test", 4096, () => {})))
      return { connection, isFound, open }
    }
    const amqp = yield* Amqp.make({ endpoint: server.endpoint, retryPolicy, name: "server" })
    const confirm = Effect.sync(() => {
      for (const confirm of confirms) confirm()
    })
    return { amqp, confirm, confirms, gate, makeConnection, server, ...makeConnection() }
  })

const makeFixture = fixtureOf()

/** All that waits for a connection, but for what has no end. */
const calls = ({ publish, sendToQueue, use }: Amqp.Service, { maxWait }: { readonly maxWait: 0 | "2 seconds" }) => [
  use(() => Promise.resolve(), { maxWait }),
  publish("news", "weather", "rain", { maxWait }),
  sendToQueue("jobs", "a job", { maxWait, resend: true })
]

const isDone = (fiber: Fiber.RuntimeFiber<unknown, unknown>) =>
  Effect.map(Fiber.poll(fiber), ({ _tag }) => _tag === "Some")

describe("maxWaiting", () => {
  it.scoped(
    "refuses a message where so many wait, and takes one again when a sender has left or the channel is open",
    () =>
      Effect.gen(function* () {
        const { amqp, confirm, connection, confirms, open, server } = yield* fixtureOf(2)
        yield* server.accept(connection)
        yield* amqp.service.whenConnected()
        const send = amqp.sendToQueue("jobs", "a job", { resend: true })
        const waiting = [yield* Effect.fork(send), yield* Effect.fork(send)] as const
        yield* Effect.yieldNow()
        expect(yield* Effect.flip(send)).toMatchObject({ _tag: "AmqpError", reason: "Overloaded", endpoint: "test" })
        yield* Fiber.interrupt(waiting[0])
        const another = yield* Effect.fork(send)
        yield* Effect.yieldNow()
        yield* open
        expect(confirms).toHaveLength(2)
        const last = yield* Effect.fork(send)
        yield* Effect.yieldNow()
        yield* confirm
        for (const fiber of [waiting[1], another, last]) yield* Fiber.join(fiber)
      })
  )
})

describe("maxWait", () => {
  it.scoped("bounds the wait for a connection", () =>
    Effect.gen(function* () {
      const { amqp, connection, open, server } = yield* makeFixture
      yield* server.down(new AmqpError.AmqpError({ reason: "Refused", endpoint: "test" }))
      yield* open
      const fibers = yield* Effect.forEach(calls(amqp, { maxWait: "2 seconds" }), (call) => Effect.fork(call))
      yield* TestClock.adjust("1999 millis")
      expect(yield* Effect.forEach(fibers, isDone)).toEqual([false, false, false])
      yield* TestClock.adjust("1 millis")
      for (const fiber of fibers) {
        const error = yield* Effect.flip(Fiber.join(fiber))
        expect(error).toBeInstanceOf(ConnectionError.NotConnected)
        expect(error).toMatchObject({
          service: "server",
          state: { _tag: "Waiting", cause: { error: { reason: "Refused" } } }
        })
        expect(error.message).toMatch(/^server: no connection within 2s: .*nothing accepts connections there/)
      }
      const late = yield* Effect.fork(amqp.publish("news", "weather", "rain", { maxWait: "1 minute" }))
      yield* server.up(connection)
      yield* TestClock.adjust("10 seconds")
      expect(yield* isDone(late)).toBe(false)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("of 0 fails at once", () =>
    Effect.gen(function* () {
      const { amqp } = yield* makeFixture
      for (const call of calls(amqp, { maxWait: 0 })) {
        const error = yield* Effect.flip(call)
        expect(error).toMatchObject({ _tag: "NotConnected", service: "server", state: { _tag: "Connecting" } })
        expect(error.message).toMatch(/^server: no connection: /)
      }
    })
  )

  for (const maxWait of [0, "1 minute"] as const) {
    it.scoped(`of ${maxWait} holds up no caller who can't be interrupted once the server has answered`, () =>
      Effect.gen(function* () {
        const { amqp, confirm, confirms, connection, open, server } = yield* makeFixture
        yield* server.accept(connection)
        yield* open
        yield* amqp.use(() => Promise.resolve())
        const fiber = yield* Effect.fork(Effect.uninterruptible(amqp.publish("news", "weather", "rain", { maxWait })))
        yield* Effect.repeat(Effect.yieldNow(), { until: () => confirms.length > 0 })
        yield* confirm
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        expect(yield* isDone(fiber)).toBe(true)
      })
    )
  }

  it.scoped("bounds the wait for a connection and its channel, together", () =>
    Effect.gen(function* () {
      const { amqp, connection, server } = yield* makeFixture
      const fiber = yield* Effect.fork(amqp.publish("news", "weather", "rain", { maxWait: "2 seconds" }))
      yield* TestClock.adjust("1 second")
      yield* server.accept(connection)
      yield* TestClock.adjust("999 millis")
      expect(yield* isDone(fiber)).toBe(false)
      yield* TestClock.adjust("1 millis")
      const error = yield* Effect.flip(Fiber.join(fiber))
      expect(error).toMatchObject({ _tag: "NotConnected", service: "channel", state: { _tag: "Waiting" } })
      expect(error.message).toMatch(/^channel: no connection within 2s: .*the channel is closed/)
      expect(yield* Effect.flip(amqp.sendToQueue("jobs", "a job", { maxWait: 0 }))).toMatchObject({
        _tag: "NotConnected",
        service: "channel"
      })
      yield* amqp.use(() => Promise.resolve(), { maxWait: 0 })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("goes on over connections that are lost before they have a channel", () =>
    Effect.gen(function* () {
      const { amqp, connection, makeConnection, server } = yield* makeFixture
      const fiber = yield* Effect.fork(amqp.publish("news", "weather", "rain", { maxWait: "15 seconds" }))
      const first = yield* server.accept(connection)
      yield* TestClock.adjust("1 second")
      yield* first.drop()
      yield* TestClock.adjust("10 seconds")
      yield* server.accept(makeConnection().connection)
      yield* TestClock.adjust("3999 millis")
      expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
      expect(yield* isDone(fiber)).toBe(false)
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "NotConnected", service: "channel" })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("bounds the wait for a server that takes no messages, and what is given up is not sent later", () =>
    Effect.gen(function* () {
      const { amqp, confirm, confirms, connection, gate, open, server } = yield* makeFixture
      yield* open
      yield* server.accept(connection)
      gate.blocked(true)
      const now = yield* Effect.flip(amqp.sendToQueue("jobs", "a", { maxWait: 0 }))
      expect(now).toMatchObject({ _tag: "AmqpError", reason: "Blocked" })
      const fiber = yield* Effect.fork(amqp.sendToQueue("jobs", "b", { maxWait: "2 seconds" }))
      const waiting = yield* Effect.fork(amqp.sendToQueue("jobs", "c", { maxWait: "1 minute" }))
      yield* TestClock.adjust("1999 millis")
      expect(yield* isDone(fiber)).toBe(false)
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "AmqpError", reason: "Blocked" })
      expect(confirms).toHaveLength(0)
      gate.blocked(false)
      expect(confirms).toHaveLength(1)
      yield* confirm
      yield* Fiber.join(waiting)
    })
  )

  it.scoped("has what is given up not be sent later, of which the first had found the channel closed", () =>
    Effect.gen(function* () {
      const { amqp, confirms, connection, isFound, open, server } = yield* makeFixture
      yield* open
      yield* server.accept(connection)
      yield* amqp.service.whenConnected()
      isFound.closed = true
      const late = yield* Effect.flip(amqp.sendToQueue("jobs", "a", { maxWait: 0 }))
      expect(late).toMatchObject({ _tag: "NotConnected", service: "channel" })
      isFound.closed = false
      yield* open
      isFound.closed = true
      const leaving = yield* Effect.fork(amqp.sendToQueue("jobs", "b"))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(leaving)
      isFound.closed = false
      yield* open
      expect(confirms).toHaveLength(0)
    })
  )

  it.scoped("does not bound the wait for the confirmation, nor a use", () =>
    Effect.gen(function* () {
      const { amqp, confirm, connection, open, server } = yield* makeFixture
      yield* open
      let finish = () => {}
      const finished = new Promise<void>((resolve) => {
        finish = resolve
      })
      const fibers = yield* Effect.all([
        Effect.fork(amqp.publish("news", "weather", "rain", { maxWait: "2 seconds" })),
        Effect.fork(amqp.use(() => finished, { maxWait: "2 seconds" }))
      ])
      yield* TestClock.adjust("1 second")
      yield* server.accept(connection)
      yield* TestClock.adjust("1 hour")
      expect(yield* Effect.forEach(fibers, isDone)).toEqual([false, false])
      yield* confirm
      finish()
      yield* Fiber.joinAll(fibers)
    })
  )

  it.scoped("has a message that was sent, and can't be sent again by then, be unconfirmed", () =>
    Effect.gen(function* () {
      const { amqp, connection, open, server } = yield* makeFixture
      yield* open
      const { drop } = yield* server.accept(connection)
      const fiber = yield* Effect.fork(amqp.sendToQueue("jobs", "a job", { maxWait: "2 seconds", resend: true }))
      yield* TestClock.adjust("1 hour")
      yield* drop()
      yield* TestClock.adjust("1999 millis")
      expect(yield* isDone(fiber)).toBe(false)
      yield* TestClock.adjust("1 millis")
      const error = yield* Effect.flip(Fiber.join(fiber))
      expect(error).toMatchObject({ _tag: "AmqpError", reason: "Unconfirmed", cause: { _tag: "ConnectionLost" } })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("is refused if it makes no sense", () =>
    Effect.gen(function* () {
      const { amqp } = yield* makeFixture
      const refused = expect.objectContaining({ _tag: "InvalidOption", option: "maxWait" })
      expect(() => amqp.use(() => Promise.resolve(), { maxWait: -1 })).toThrow(refused)
      expect(() => amqp.publish("news", "weather", "rain", { maxWait: -1 })).toThrow(refused)
      expect(() => amqp.sendToQueue("jobs", "a job", { maxWait: Number.NaN })).toThrow(refused)
    })
  )
})
