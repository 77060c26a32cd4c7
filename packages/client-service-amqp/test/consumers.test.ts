import { describe, expect } from "@effect/vitest"
import type { Channel } from "amqplib"
import { Effect, Fiber, Queue, Schedule, Stream } from "effect"
import type { Amqp, AmqpMessage } from "effect-client-service-amqp"
import { connect, isMissing, onServer, Server, until } from "./support/server.js"

const textOf = ({ content }: AmqpMessage.AmqpMessage): string => content.toString()

const durable = (queue: string) => (channel: Channel) => channel.assertQueue(queue)

const stream = (queue: string) => (channel: Channel) =>
  channel.assertQueue(queue, { arguments: { "x-queue-type": "stream" } })

const consumed = (amqp: Amqp.Service, queue: string, options?: Amqp.ConsumeOptions) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(amqp.consume(queue, options), (message) => Queue.offer(messages, message))
    )
    return { fiber, messages }
  })

const queueOf = (amqp: Amqp.Service, queue: string) => amqp.use((channel) => channel.checkQueue(queue))

/** Waits until the server says so of a queue. */
const untilQueue = (
  amqp: Amqp.Service,
  queue: string,
  is: (state: { readonly messageCount: number; readonly consumerCount: number }) => boolean
) => Effect.repeat(Effect.delay(queueOf(amqp, queue), "10 millis"), { until: is })

describe.skipIf(isMissing)("a server", () => {
  onServer(Server.Live, (it) => {
    // Kind 35: What is under way on a connection is done twice, since the connection is replaced.
    it.scoped("has its connection replaced while jobs are under way: each is done once", () =>
      Effect.gen(function* () {
        const control = yield* connect()
        yield* control.use(durable("jobs"))
        const all = Array.from({ length: 9 }, (_, index) => `${index}`)
        for (const job of all) yield* control.sendToQueue("jobs", job)
        const amqp = yield* connect({}, { maxAge: "400 millis" })
        const done: Array<string> = []
        yield* amqp.consume("jobs", { prefetch: 5 }).pipe(
          Stream.mapEffect(
            (job) =>
              Effect.sleep("250 millis").pipe(
                Effect.zipRight(job.ack),
                Effect.zipRight(Effect.sync(() => void done.push(textOf(job))))
              ),
            { concurrency: 2 }
          ),
          Stream.take(9),
          Stream.runDrain
        )
        expect([...done].sort()).toEqual(all)
        const state = yield* amqp.service.state.get
        expect(state._tag === "Connected" && state.generation).toBeGreaterThan(1)
        yield* amqp.service.stop
        expect(yield* untilQueue(control, "jobs", ({ consumerCount }) => consumerCount === 0)).toMatchObject({
          messageCount: 0
        })
      })
    )

    // Kind 35
    it.scoped("has its connection replaced while a job takes longer than closeTimeout: that one comes again", () =>
      Effect.gen(function* () {
        const amqp = yield* connect({}, { maxAge: "200 millis", closeTimeout: "300 millis" })
        const { messages } = yield* consumed(amqp, "long", { declare: durable("long"), prefetch: 1 })
        yield* Effect.retry(amqp.sendToQueue("long", "a", { mandatory: true }), Schedule.spaced("10 millis"))
        const first = yield* Queue.take(messages)
        const second = yield* Queue.take(messages)
        expect(second.redelivered).toBe(true)
        expect(yield* Effect.flip(first.ack)).toMatchObject({ reason: "ChannelClosed" })
        yield* second.ack
      })
    )

    // Kind 35
    it.scoped("is stopped with a drainTimeout: what is under way is settled, and what waits is for others", () =>
      Effect.gen(function* () {
        const control = yield* connect()
        const amqp = yield* connect({}, { drainTimeout: "10 seconds" })
        yield* control.use(durable("drained"))
        for (const text of ["a", "b", "c"]) yield* control.sendToQueue("drained", text)
        const { fiber, messages } = yield* consumed(amqp, "drained", { prefetch: 1 })
        const job = yield* Queue.take(messages)
        const stop = yield* Effect.fork(amqp.service.stop)
        yield* untilQueue(control, "drained", ({ consumerCount }) => consumerCount === 0)
        yield* job.ack
        yield* Fiber.join(stop)
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "ServiceStopped" })
        expect(yield* queueOf(control, "drained")).toMatchObject({ messageCount: 2 })
      })
    )

    it.scoped("has messages settled as they are handed out (noAck), and sends no more than prefetch ahead", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("no ack"))
        yield* Effect.forEach(Array.from({ length: 100 }), () => amqp.sendToQueue("no ack", "a"), {
          concurrency: "unbounded"
        })
        const pulled = yield* Stream.toPull(amqp.consume("no ack", { noAck: true, prefetch: 5 }))
        for (let index = 0; index < 20; index++)
          for (const message of yield* pulled) {
            yield* message.ack
            yield* message.nack()
          }
        expect(yield* untilQueue(amqp, "no ack", ({ messageCount }) => messageCount <= 75)).toMatchObject({
          messageCount: 75
        })
      })
    )

    it.scoped("is asked for the priority of a consumer, and for other arguments", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(durable("priorities"))
        const low = yield* consumed(amqp, "priorities", { declare: durable("priorities"), priority: 1 })
        const high = yield* consumed(amqp, "priorities", {
          declare: durable("priorities"),
          arguments: { "x-priority": 9 }
        })
        yield* untilQueue(amqp, "priorities", ({ consumerCount }) => consumerCount === 2)
        for (const text of ["a", "b", "c"]) yield* amqp.sendToQueue("priorities", text)
        for (const text of ["a", "b", "c"]) expect(textOf(yield* Queue.take(high.messages))).toBe(text)
        expect(yield* Queue.size(low.messages)).toBe(0)
      })
    )

    it.scoped("is killed while a stream is read from its beginning: it goes on behind what was settled", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect()
        yield* amqp.use(stream("log"))
        const texts = Array.from({ length: 10 }, (_, index) => `${index}`)
        for (const text of texts) yield* amqp.sendToQueue("log", text)
        const { messages } = yield* consumed(amqp, "log", { arguments: { "x-stream-offset": "first" }, prefetch: 4 })
        for (const text of texts.slice(0, 4)) {
          const message = yield* Queue.take(messages)
          expect(textOf(message)).toBe(text)
          if (text !== "3") yield* message.ack
        }
        // Its acknowledgements are nothing to a stream, which is read on after it.
        yield* server.keepDeclared
        yield* server.kill
        yield* until(amqp, "Waiting")
        yield* Queue.takeAll(messages)
        yield* server.start
        expect(textOf(yield* Queue.take(messages))).toBe("3")
      })
    )
  })
})
