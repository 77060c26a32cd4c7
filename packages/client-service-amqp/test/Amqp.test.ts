import { describe, expect } from "@effect/vitest"
import type { Channel } from "amqplib"
import { Effect, Exit, Fiber, Queue, Scope, Stream } from "effect"
import { ConnectionError, RetryPolicy, TestEndpoint } from "effect-client-service"
import { type Amqp, AmqpEndpoint, AmqpError, type AmqpMessage } from "effect-client-service-amqp"
import { turns } from "test-servers/turns"
import { connect, isMissing, onServer, retryPolicy, Server, until } from "./support/server.js"

const textOf = ({ content }: AmqpMessage.AmqpMessage): string => content.toString()

const durable = (queue: string) => (channel: Channel) => channel.assertQueue(queue)

/** Consumes into a queue of this process. */
const consumed = (amqp: Amqp.Service, queue: string, options?: Amqp.ConsumeOptions) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
    const consumer = amqp.consume(queue, { declare: durable(queue), ...options })
    const fiber = yield* Effect.forkScoped(Stream.runForEach(consumer, (message) => Queue.offer(messages, message)))
    return { fiber, messages }
  })

/** The channel of a consumer, as each is opened. */
const channelsOf = Effect.map(Queue.unbounded<Channel>(), (channels) => ({
  channels,
  declare: (queue: string) => (channel: Channel) => {
    channels.unsafeOffer(channel)
    return channel.assertQueue(queue)
  }
}))

const readyIn = (amqp: Amqp.Service, queue: string) =>
  Effect.map(
    amqp.use((channel) => channel.checkQueue(queue)),
    ({ messageCount }) => messageCount
  )

/** How many sockets and timers keep this process alive. */
const resources = (): number =>
  process.getActiveResourcesInfo().filter((type) => type === "TCPSocketWrap" || type === "Timeout").length

describe.skipIf(isMissing)("a server", () => {
  onServer(Server.Live, (it) => {
    it.scoped("delivers what was published until it is acknowledged, and no more at a time than prefetch", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("prefetch"))
        for (const text of ["a", "b", "c"]) yield* amqp.sendToQueue("prefetch", text, { messageId: text })
        const { messages } = yield* consumed(amqp, "prefetch", { prefetch: 2 })
        const first = yield* Queue.take(messages)
        const second = yield* Queue.take(messages)
        expect([first, second].map(textOf)).toEqual(["a", "b"])
        expect(first).toMatchObject({ redelivered: false, properties: { messageId: "a", deliveryMode: 2 } })
        expect(yield* readyIn(amqp, "prefetch")).toBe(1)
        yield* first.ack
        yield* first.ack
        const third = yield* Queue.take(messages)
        expect(textOf(third)).toBe("c")
        yield* second.nack()
        expect(yield* Queue.take(messages)).toMatchObject({ redelivered: true, properties: { messageId: "b" } })
        yield* third.nack({ requeue: false })
        yield* third.ack
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    it.scoped("returns what is mandatory and matches no queue", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("routable"))
        const outcomes = yield* Effect.all(
          [
            amqp.sendToQueue("routable", "a", { mandatory: true }),
            amqp.sendToQueue("unroutable", "a", { mandatory: true }),
            amqp.sendToQueue("unroutable", "a"),
            amqp.sendToQueue("unroutable", "b", { mandatory: true })
          ].map(Effect.either),
          { concurrency: "unbounded" }
        )
        const unroutable = { _tag: "Left", left: { _tag: "AmqpError", reason: "Unroutable", code: 312 } }
        expect(outcomes).toMatchObject([{ _tag: "Right" }, unroutable, { _tag: "Right" }, unroutable])
      })
    )

    it.scoped("refuses to take a message of a queue that is full", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("full", { maxLength: 1, overflow: "reject-publish" }))
        yield* amqp.sendToQueue("full", "a")
        expect(yield* Effect.flip(amqp.sendToQueue("full", "b"))).toMatchObject({ reason: "Nacked" })
      })
    )

    it.scoped("closes a channel of a consumer, which goes on with another of the same connection", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("closed"))
        const { channels, declare } = yield* channelsOf
        const { messages } = yield* consumed(amqp, "closed", { declare: declare("closed") })
        const channel = yield* Queue.take(channels)
        yield* amqp.sendToQueue("closed", "a")
        const before = yield* Queue.take(messages)
        const closed = Effect.async<void>((resume) => void channel.once("close", () => resume(Effect.void)))
        channel.ack({ ...before, fields: { ...before.fields, deliveryTag: 99 } })
        yield* closed
        expect(yield* Effect.flip(before.ack)).toMatchObject({ _tag: "AmqpError", reason: "ChannelClosed" })
        const after = yield* Queue.take(messages)
        expect(after).toMatchObject({ redelivered: true, fields: { deliveryTag: 1 } })
        // It has the tag of that on the new channel, but not the channel.
        expect(yield* Effect.flip(before.ack)).toMatchObject({ reason: "ChannelClosed" })
        yield* after.ack
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    it.scoped("closes the channel of publishers, which go on with another of the same connection", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("after"))
        for (const resend of [false, true]) {
          const error = yield* Effect.flip(amqp.publish("no such exchange", "", "a", { resend }))
          expect(error).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code: 404 })
          expect(error.message).toContain("no exchange 'no such exchange'")
        }
        yield* amqp.sendToQueue("after", "b")
        expect(yield* readyIn(amqp, "after")).toBe(1)
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    it.scoped("takes no message that can't be encoded, and goes on", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const error = yield* Effect.flip(amqp.sendToQueue("any", "a", { headers: { big: "x".repeat(70_000) } }))
        expect(error).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        yield* amqp.sendToQueue("any", "a")
      })
    )

    it.scoped("ends a consumer as its queue is deleted, which is declared again", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("deleted"))
        const { channels, declare } = yield* channelsOf
        const { messages } = yield* consumed(amqp, "deleted", { declare: declare("deleted") })
        yield* amqp.sendToQueue("deleted", "a")
        yield* Effect.flatMap(Queue.take(messages), ({ ack }) => ack)
        yield* Queue.take(channels)
        yield* amqp.use((channel) => channel.deleteQueue("deleted"))
        yield* Queue.take(channels)
        yield* Effect.retry(amqp.sendToQueue("deleted", "b", { mandatory: true }), {
          while: (error) => error._tag === "AmqpError" && error.reason === "Unroutable"
        })
        expect(textOf(yield* Queue.take(messages))).toBe("b")
      })
    )

    it.scoped("refuses to declare or to consume, which ends the stream", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const missing = yield* Effect.flip(Stream.runDrain(amqp.consume("no such queue")))
        expect(missing).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code: 404 })
        yield* amqp.use(durable("other"))
        const different = (channel: Channel) => channel.assertQueue("other", { durable: false })
        const rejected = { _tag: "AmqpError", reason: "Rejected", code: 406 }
        expect(yield* Effect.flip(Stream.runDrain(amqp.consume("other", { declare: different })))).toMatchObject(
          rejected
        )
        expect(yield* Effect.flip(amqp.use(different))).toMatchObject(rejected)
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    it.scoped("is short of memory: the connection that publishes is blocked, and what it consumes waits, too", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect()
        const other = yield* connect()
        yield* amqp.use(durable("blocked"))
        const backlogOf = (service: Amqp.Service, queue: string) =>
          Effect.gen(function* () {
            yield* amqp.use(durable(queue))
            for (const text of ["a", "b"]) yield* amqp.sendToQueue(queue, text)
            const { messages } = yield* consumed(service, queue, { prefetch: 1 })
            return { messages, first: yield* Queue.take(messages) }
          })
        const same = yield* backlogOf(amqp, "backlog")
        const another = yield* backlogOf(other, "another backlog")
        expect(yield* amqp.blocked.get).toBe(false)
        const changes = yield* Queue.unbounded<boolean>()
        yield* Effect.forkScoped(Stream.runForEach(amqp.blocked.changes, (blocked) => Queue.offer(changes, blocked)))
        expect(yield* Queue.take(changes)).toBe(false)
        yield* server.control("set_vm_memory_high_watermark", "0")
        const publish = yield* Effect.fork(amqp.sendToQueue("blocked", "a"))
        expect(yield* Queue.take(changes)).toBe(true)
        expect(yield* amqp.blocked.get).toBe(true)
        // The server reads nothing of it, so that it does not see what is acknowledged.
        yield* same.first.ack
        yield* another.first.ack
        expect(textOf(yield* Queue.take(another.messages))).toBe("b")
        expect(yield* other.blocked.get).toBe(false)
        expect(yield* Queue.size(same.messages)).toBe(0)
        expect(yield* Fiber.poll(publish)).toMatchObject({ _tag: "None" })
        yield* server.control("set_vm_memory_high_watermark", "0.4")
        yield* Fiber.join(publish)
        expect(yield* Queue.take(changes)).toBe(false)
        expect(textOf(yield* Queue.take(same.messages))).toBe("b")
      })
    )

    it.scoped("is killed between a message and its confirm: it is unconfirmed, or sent again", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect()
        yield* amqp.use(durable("unconfirmed"))
        yield* server.keepDeclared
        yield* server.pause
        const [once, again] = yield* Effect.all([
          Effect.fork(amqp.sendToQueue("unconfirmed", "once")),
          Effect.fork(amqp.sendToQueue("unconfirmed", "again", { resend: true }))
        ])
        yield* turns(3)
        yield* server.kill
        const error = yield* Effect.flip(Fiber.join(once))
        expect(error).toMatchObject({ _tag: "AmqpError", reason: "Unconfirmed" })
        expect(error.cause).toBeInstanceOf(ConnectionError.ConnectionLost)
        yield* until(amqp, "Waiting")
        const unsent = yield* Effect.fork(amqp.sendToQueue("unconfirmed", "unsent"))
        yield* server.start
        yield* Fiber.join(again)
        yield* Fiber.join(unsent)
        const { messages } = yield* consumed(amqp, "unconfirmed")
        const texts = [textOf(yield* Queue.take(messages)), textOf(yield* Queue.take(messages))]
        expect(texts.sort()).toEqual(["again", "unsent"])
      })
    )

    it.scoped("is killed under load: all that it confirmed is delivered, and twice only as redelivered", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect()
        const confirmed = new Set<string>()
        const sentAgain = new Set<string>()
        const deliveries: Array<{ readonly id: string; readonly redelivered: boolean }> = []
        const acknowledged: Array<string> = []
        const confirms = yield* Queue.unbounded<void>()
        const seen = yield* Queue.unbounded<void>()
        let isDone = false
        let count = 0

        const publisher = (resend: boolean) =>
          Effect.whileLoop({
            while: () => !isDone,
            body: () => {
              const id = `${resend ? "again" : "once"} ${count++}`
              return amqp.sendToQueue("load", id, { resend, messageId: id }).pipe(
                Effect.flatMap(() => {
                  confirmed.add(id)
                  return Queue.offer(confirms, undefined)
                }),
                Effect.catchTag("AmqpError", (error) =>
                  error.reason === "Unconfirmed" ? Effect.sync(() => void sentAgain.add(id)) : Effect.fail(error)
                )
              )
            },
            step: () => {}
          })
        const declare = durable("load")
        yield* amqp.consume("load", { prefetch: 5, declare }).pipe(
          Stream.runForEach((message) => {
            const id = textOf(message)
            deliveries.push({ id, redelivered: message.redelivered })
            return Effect.zipRight(
              Effect.match(message.ack, { onFailure: () => {}, onSuccess: () => void acknowledged.push(id) }),
              Queue.offer(seen, undefined)
            )
          }),
          Effect.forkScoped
        )
        yield* amqp.use(declare)
        yield* server.keepDeclared
        const load = yield* Effect.fork(
          Effect.all([false, true, false, true].map(publisher), { concurrency: "unbounded" })
        )
        for (let kill = 0; kill < 2; kill++) {
          yield* Effect.repeatN(Queue.take(confirms), 100)
          yield* server.kill
          yield* server.start
          yield* Queue.takeAll(confirms)
        }
        yield* Effect.repeatN(Queue.take(confirms), 100)
        isDone = true
        yield* Fiber.join(load)
        // One more loss, which has all come again that is not settled.
        yield* amqp.service.reconnect
        const missing = () => {
          const ids = new Set(deliveries.map(({ id }) => id))
          return [...confirmed].filter((id) => !ids.has(id))
        }
        yield* Effect.iterate(undefined, { while: () => missing().length > 0, body: () => Queue.take(seen) })

        expect(confirmed.size).toBeGreaterThan(300)
        const known = new Set<string>()
        const unmarked = deliveries.filter(({ id, redelivered }) => {
          const isSecond = known.has(id)
          known.add(id)
          // What was sent again may be there as two messages, of which each is new.
          return isSecond && !redelivered && !id.startsWith("again")
        })
        expect(unmarked).toEqual([])
        expect(deliveries.filter(({ id }) => !confirmed.has(id) && !sentAgain.has(id))).toEqual([])
        expect(acknowledged.length).toBeGreaterThan(300)
      })
    )

    it.scoped("is paused for longer than the heartbeat waits, and goes on", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect({ heartbeat: "1 second", linger: "10 millis" })
        yield* amqp.use(durable("paused"))
        const { messages } = yield* consumed(amqp, "paused")
        yield* amqp.sendToQueue("paused", "a")
        const before = yield* Queue.take(messages)
        yield* server.pause
        const lost = yield* until(amqp, "Waiting")
        expect(lost).toMatchObject({
          cause: { _tag: "Fail", error: { reason: "ConnectionClosed", detail: "Heartbeat timeout" } }
        })
        expect(yield* Effect.flip(before.ack)).toMatchObject({ reason: "ChannelClosed" })
        yield* server.resume
        const after = yield* Queue.take(messages)
        expect(after.redelivered).toBe(true)
        yield* after.ack
      })
    )

    it.scoped("is down at the start, and stopped cleanly", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const other = yield* connect()
        yield* other.use(durable("down"))
        yield* server.stop
        expect(yield* until(other, "Waiting")).toMatchObject({ cause: { error: expect.any(AmqpError.AmqpError) } })
        const amqp = yield* connect()
        const publish = yield* Effect.fork(amqp.sendToQueue("down", "a"))
        expect(yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({
          _tag: "AmqpError",
          reason: "Refused",
          code: "ECONNREFUSED"
        })
        yield* server.start
        yield* Fiber.join(publish)
        expect(yield* readyIn(other, "down")).toBe(1)
      })
    )

    it.scoped("is away for longer than a caller waits, or has closed the channel that it needs", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect()
        yield* amqp.use(durable("away"), { maxWait: "1 minute" })
        yield* server.keepDeclared
        yield* Effect.flip(amqp.publish("no such exchange", "", "a"))
        // The channel is not open again yet, but the connection is.
        const closed = yield* Effect.flip(amqp.sendToQueue("away", "a", { maxWait: 0 }))
        expect(closed).toMatchObject({ _tag: "NotConnected", service: `${amqp.service.name} publisher` })
        expect(closed.message).toContain("no exchange 'no such exchange'")
        yield* amqp.sendToQueue("away", "b", { maxWait: "1 minute" })
        yield* server.control("stop_app")
        yield* until(amqp, "Waiting")
        for (const maxWait of [0, 20]) {
          const away = { _tag: "NotConnected", service: amqp.service.name }
          expect(yield* Effect.flip(amqp.sendToQueue("away", "c", { maxWait }))).toMatchObject(away)
          expect(yield* Effect.flip(amqp.use(durable("away"), { maxWait }))).toMatchObject(away)
        }
        const publish = yield* Effect.fork(amqp.sendToQueue("away", "d", { maxWait: "1 minute" }))
        yield* server.control("start_app")
        yield* Fiber.join(publish)
        expect(yield* readyIn(amqp, "away")).toBe(2)
      })
    )

    it.scoped("does not take the credentials, or has no such virtual host, which can end the policy", () =>
      Effect.gen(function* () {
        const { password, port, user } = yield* Server
        const whileOfUse = RetryPolicy.whileError(retryPolicy, (error) => !AmqpError.isFatal(error))
        const urls = [
          [`amqp://${user}:hunter2@127.0.0.1:${port}`, "Authentication"],
          [`amqp://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/none`, "NotAllowed"]
        ] as const
        for (const [url, reason] of urls) {
          const amqp = yield* connect({ url }, { retryPolicy: whileOfUse })
          const error = yield* Effect.flip(amqp.sendToQueue("any", "a"))
          expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
          const state = yield* amqp.service.state.get
          expect(state).toMatchObject({ _tag: "Exhausted", cause: { error: { _tag: "AmqpError", reason } } })
          const told = [error, error.message, error.stack, amqp.service, amqp.service.name, state]
          expect(told.map((value) => `${String(value)} ${JSON.stringify(value)}`).join()).not.toMatch(/hunter2|correct/)
        }
      })
    )

    it.scoped("is spoken to over TLS, if it can be verified", () =>
      Effect.gen(function* () {
        const { password, tls, user } = yield* Server
        const url = `amqps://${user}:${encodeURIComponent(password)}@127.0.0.1:${tls.port}`
        const amqp = yield* connect({ url, tls: { ca: tls.ca } })
        yield* amqp.use(durable("secret"))
        yield* amqp.sendToQueue("secret", "a", { mandatory: true })
        for (const [options, code] of [
          [{ url }, "SELF_SIGNED_CERT_IN_CHAIN"],
          [{ url, host: "localhost", tls: { ca: tls.ca } }, "ERR_TLS_CERT_ALTNAME_INVALID"]
        ] as const) {
          const distrustful = yield* connect(options)
          const error = yield* Effect.flip(distrustful.service.whenConnected({ failAfterFailures: 1 }))
          const told = { _tag: "AmqpError", reason: "Unreachable", code }
          expect(error).toMatchObject(told)
          // What the client tells of a certificate refers to itself.
          expect(JSON.parse(JSON.stringify(error))).toMatchObject(told)
        }
      })
    )

    // Kind 13
    it.scoped(
      "has the options of TLS made at every attempt, so that a certificate that is renewed needs no restart",
      () =>
        Effect.gen(function* () {
          const { password, tls, user } = yield* Server
          const options: Array<Effect.Effect<object, Error>> = [
            Effect.fail(new Error("ca.crt: it is missing")),
            Effect.succeed({}),
            Effect.succeed({ ca: tls.ca })
          ]
          const amqp = yield* connect({
            url: `amqp://${user}:${encodeURIComponent(password)}@127.0.0.1:${tls.port}`,
            tls: Effect.suspend(() => options.shift() ?? Effect.die("asked too often"))
          })
          const missing = yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))
          expect(missing).toMatchObject({ _tag: "AmqpError", reason: "Credentials" })
          expect(missing.message).toContain("ca.crt: it is missing")
          expect(yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({
            reason: "Unreachable",
            code: "SELF_SIGNED_CERT_IN_CHAIN"
          })
          yield* amqp.service.whenConnected()
        })
    )

    it.scoped("keeps the rules of an endpoint", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        yield* TestEndpoint.checkEndpoint(AmqpEndpoint.make({ url }), {
          runs: 20,
          use: (connection) => connection.use((channel) => channel.checkExchange("amq.direct"))
        })
      })
    )

    it.scoped("gets what was sent before its client stops, and nothing is left of that here", () =>
      Effect.gen(function* () {
        const control = yield* connect()
        yield* control.use(durable("stopped"))
        for (const text of ["a", "b"]) yield* control.sendToQueue("stopped", text)
        const before = resources()
        const scope = yield* Scope.make()
        const amqp = yield* Scope.extend(connect(), scope)
        const { fiber, messages } = yield* Scope.extend(consumed(amqp, "stopped"), scope)
        const done = yield* Queue.take(messages)
        const undone = yield* Queue.take(messages)
        yield* done.ack
        yield* amqp.service.stop
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "ServiceStopped" })
        expect(yield* Effect.flip(undone.nack())).toMatchObject({ reason: "ChannelClosed" })
        expect(yield* Effect.flip(amqp.sendToQueue("stopped", "b"))).toMatchObject({ _tag: "ServiceStopped" })
        yield* Scope.close(scope, Exit.void)
        yield* turns(3)
        // A timer of the tests before may have ended meanwhile.
        expect(resources()).toBeLessThanOrEqual(before)
        const queue = yield* control.use((channel) => channel.checkQueue("stopped"))
        expect(queue).toMatchObject({ messageCount: 1, consumerCount: 0 })
      })
    )
  })
})
