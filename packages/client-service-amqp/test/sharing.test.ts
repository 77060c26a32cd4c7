import { describe, expect } from "@effect/vitest"
import type { Channel } from "amqplib"
import { Effect, Fiber, Metric, Queue, Stream } from "effect"
import { Telemetry } from "effect-client-service"
import type { Amqp, AmqpMessage } from "effect-client-service-amqp"
import { turns } from "test-servers/turns"
import { connect, isMissing, onServer, Server } from "./support/server.js"

const countOf = (amqp: Amqp.Service, queue: string) =>
  Effect.map(
    amqp.use((channel) => channel.checkQueue(queue)),
    ({ messageCount }) => messageCount
  )

/** Twenty publishes that have done nothing wrong, one after the other. */
const innocents = (amqp: Amqp.Service, queue: string) =>
  Effect.forEach(
    Array.from({ length: 20 }, (_, index) => index),
    (index) => amqp.sendToQueue(queue, `${index}`, { resend: true })
  )

describe.skipIf(isMissing)("a server", () => {
  onServer(Server.small, (it) => {
    // Kind 32: What one caller asks for takes the connection, or the channel, from all the others.
    it.scoped("has frames that a header does not fit: its sender is told, and all others go on", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("innocent"))
        const big = { headers: { trace: "x".repeat(8192) } }
        const bad = yield* Effect.fork(amqp.sendToQueue("innocent", "bad", { resend: true, ...big }))
        yield* innocents(amqp, "innocent")
        expect(yield* Effect.flip(Fiber.join(bad))).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        expect(yield* Effect.flip(amqp.call("", "innocent", "bad", big))).toMatchObject({ reason: "Invalid" })
        // To the byte: 8,192 for the frame, of which its beginning and end take 8 bytes, and what is before the headers 14.
        const fitting = 8192 - 8 - 14 - 4 - 1 - (1 + "trace".length) - 5
        for (const [length, isTaken] of [
          [fitting, true],
          [fitting + 1, false]
        ] as const) {
          const headers = { trace: "x".repeat(length) }
          const exit = yield* Effect.exit(amqp.sendToQueue("innocent", "a", { headers }))
          expect(exit._tag).toBe(isTaken ? "Success" : "Failure")
        }
        expect(yield* countOf(amqp, "innocent")).toBe(21)
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 32
    it.scoped("is not asked for what can't be said in the protocol", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const circular: Record<string, unknown> = {}
        circular["itself"] = circular
        for (const [key, options] of [
          ["k".repeat(256), {}],
          ["any", { messageId: "m".repeat(256) }],
          ["any", { correlationId: "ü".repeat(128) }],
          ["any", { priority: 256 }],
          ["any", { timestamp: -1 }],
          ["any", { headers: { [`${"h".repeat(256)}`]: 1 } }],
          ["any", { headers: { a: undefined, b: [undefined] } }],
          ["any", { headers: { a: Number.NaN } }],
          ["any", { headers: { a: [{ b: Number.POSITIVE_INFINITY }] } }],
          ["any", { headers: { a: { "!": "float", value: 1e300 } } }],
          ["any", { headers: { a: () => {} } }],
          ["any", { headers: { a: { "!": "int8", value: 1000 } } }],
          ["any", { headers: circular }],
          ["any", { headers: { a: "x".repeat(70_000) } }]
        ] as const) {
          const error = yield* Effect.flip(amqp.sendToQueue(key, "a", { resend: true, ...options }))
          expect(error).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        }
        const name = "q".repeat(256)
        const used = yield* Effect.flip(amqp.use((channel) => channel.assertQueue(name)))
        expect(used).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 32
    it.scoped("refuses a message of many: that one is told, and all of the others are taken", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("many"))
        yield* amqp.use((channel) => channel.assertExchange("internal", "direct", { internal: true }))
        const good = Array.from({ length: 20 }, (_, index) => amqp.sendToQueue("many", `${index}`, { resend: true }))
        for (const [code, bad] of [
          [404, amqp.publish("no such exchange", "", "bad", { resend: true })],
          [406, amqp.sendToQueue("many", "bad", { resend: true, expiration: "soon" })],
          [406, amqp.sendToQueue("many", "bad", { resend: true, userId: "somebody else" })],
          [406, amqp.sendToQueue("many", "bad", { resend: true, headers: { CC: "no list" } })],
          [406, amqp.sendToQueue("many", "bad", { resend: true, replyTo: "amq.rabbitmq.reply-to" })],
          [403, amqp.publish("internal", "", "bad", { resend: true })],
          [406, amqp.sendToQueue("many", "x".repeat(70_000), { resend: true })]
        ] as const) {
          const all = [...good.slice(0, 10), Effect.flip(bad), ...good.slice(10)]
          const ends = yield* Effect.all(all, { concurrency: "unbounded" })
          expect(ends[10]).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code })
        }
        const total = yield* countOf(amqp, "many")
        const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
        yield* Effect.forkScoped(
          Stream.runForEach(amqp.consume("many", { prefetch: 1000 }), (message) => Queue.offer(messages, message))
        )
        const counts = new Map<string, number>()
        for (let index = 0; index < total; index++) {
          const text = `${(yield* Queue.take(messages)).content}`
          counts.set(text, (counts.get(text) ?? 0) + 1)
        }
        expect(counts.has("bad")).toBe(false)
        expect([...counts.values()].every((count) => count >= 5)).toBe(true)
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 32
    it.scoped("grants so many channels: whoever finds none is told, and a consumer waits for one", () =>
      Effect.gen(function* () {
        const amqp = yield* connect({ channelMax: 2 })
        const held = yield* Queue.unbounded<() => void>()
        const hold = amqp.use(() => new Promise<void>((resolve) => void held.unsafeOffer(() => resolve())))
        const holder = yield* Effect.fork(hold)
        const release = yield* Queue.take(held)
        const declare = (channel: Channel) => channel.assertQueue("channels")
        expect(yield* Effect.flip(amqp.use(declare))).toMatchObject({ _tag: "AmqpError", reason: "NoChannel" })
        const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
        const consumer = yield* Effect.forkScoped(
          Stream.runForEach(amqp.consume("channels", { declare }), (message) => Queue.offer(messages, message))
        )
        yield* innocents(amqp, "anything")
        expect(yield* Fiber.poll(consumer)).toMatchObject({ _tag: "None" })
        release()
        yield* Fiber.join(holder)
        yield* Effect.retry(amqp.sendToQueue("channels", "a", { mandatory: true }), { times: 1000 })
        yield* Queue.take(messages)
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 32
    it.scoped("grants a user so many channels, and closes the connection for one more, but not again and again", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        yield* control("set_user_limits", "test", '{"max-channels": 2}')
        const amqp = yield* connect()
        const declare = (channel: Channel) => channel.assertQueue("granted")
        const held = yield* Queue.unbounded<() => void>()
        const hold = amqp.use(() => new Promise<void>((resolve) => void held.unsafeOffer(() => resolve())))
        yield* Effect.forkScoped(hold)
        yield* Queue.take(held)
        expect(yield* Effect.flip(amqp.use(declare))).toMatchObject({ _tag: "ConnectionLost" })
        yield* Effect.forkScoped(hold)
        yield* Queue.take(held)
        for (let index = 0; index < 5; index++)
          expect(yield* Effect.flip(amqp.use(declare))).toMatchObject({ _tag: "AmqpError", reason: "NoChannel" })
        yield* innocents(amqp, "anything")
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
        yield* control("clear_user_limits", "test", "all")
      })
    )

    // Kind 32
    it.scoped(
      "closes the connection for what others ask, again and again: a consumer that asks meanwhile goes on",
      () =>
        Effect.gen(function* () {
          const amqp = yield* connect()
          const declare = (channel: Channel) => channel.assertQueue("meanwhile")
          const wrong = amqp.use((channel) => channel.assertExchange("wrong", "no such type"))
          const others = yield* Effect.fork(Effect.forever(Effect.ignore(wrong)))
          const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
          const consumer = yield* Effect.forkScoped(
            Stream.runForEach(amqp.consume("meanwhile", { declare }), (message) => Queue.offer(messages, message))
          )
          yield* amqp.service.state.changes.pipe(
            Stream.takeUntil((state) => state._tag === "Connected" && state.generation > 8),
            Stream.runDrain
          )
          yield* Fiber.interrupt(others)
          yield* Effect.retry(amqp.sendToQueue("meanwhile", "a", { mandatory: true }), { times: 1000 })
          expect(
            `${(yield* Effect.raceFirst(Queue.take(messages), Effect.zipRight(Fiber.join(consumer), Effect.dieMessage("it ended")))).content}`
          ).toBe("a")
        })
    )

    // Kind 32
    it.scoped("closes the connection for a consumer, again and again: that one ends, and the others go on", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const declare = (channel: Channel) => channel.assertQueue("beside")
        const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
        yield* Effect.forkScoped(
          Stream.runForEach(amqp.consume("beside", { declare }), (message) => Queue.offer(messages, message))
        )
        yield* Effect.retry(amqp.sendToQueue("beside", "a", { mandatory: true }), { times: 1000 })
        yield* Queue.take(messages)
        for (const [code, wrong] of [
          [503, (channel: Channel) => channel.assertExchange("wrong", "no such type")],
          [501, (channel: Channel) => channel.assertQueue("wrong", { arguments: { a: "x".repeat(9000) } })]
        ] as const) {
          const error = yield* Effect.flip(Stream.runDrain(amqp.consume("wrong", { declare: wrong })))
          expect(error).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code })
        }
        yield* amqp.sendToQueue("beside", "b", { resend: true })
        expect(`${(yield* Queue.take(messages)).content}`).toMatch(/a|b/)
      })
    )

    // Kind 33: What was not sent when its sender gave it up is sent later, and what waits to be sent has no bound.
    it.scoped(
      "takes no messages for now: one that is given up is not sent later, and those that wait take no room",
      () =>
        Effect.gen(function* () {
          const { control } = yield* Server
          const amqp = yield* connect()
          yield* amqp.use((channel) => channel.assertQueue("orders"))
          yield* control("set_vm_memory_high_watermark", "0")
          const order = amqp.sendToQueue("orders", "an order").pipe(Effect.timeoutOption("300 millis"))
          yield* Effect.repeatN(order, 2)
          expect(yield* amqp.blocked.get).toBe(true)
          const impatient = yield* Effect.flip(amqp.sendToQueue("orders", "an order", { maxWait: 0 }))
          expect(impatient).toMatchObject({ _tag: "AmqpError", reason: "Blocked" })

          const content = new Uint8Array(64 * 1024)
          const before = process.memoryUsage()
          const many = yield* Effect.fork(
            Effect.forEach(Array.from({ length: 20_000 }), () => amqp.sendToQueue("orders", content), {
              concurrency: "unbounded",
              discard: true
            })
          )
          yield* turns(50)
          const after = process.memoryUsage()
          expect(after.rss - before.rss + after.external - before.external).toBeLessThan(300 * 1024 * 1024)
          yield* Fiber.interrupt(many)
          yield* control("set_vm_memory_high_watermark", "0.4")
          yield* amqp.sendToQueue("orders", "the last one")
          // The first was sent before the server had told that it takes none.
          expect(yield* countOf(amqp, "orders")).toBeLessThanOrEqual(2)
        })
    )

    // Kind 33
    it.scoped("takes no messages for now: no more than maxWaiting wait, and the others fail at once", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        const amqp = yield* connect({ maxWaiting: 2 })
        yield* amqp.use((channel) => channel.assertQueue("bounded"))
        yield* control("set_vm_memory_high_watermark", "0")
        const order = (text: string) => amqp.sendToQueue("bounded", text)
        // The server tells that it takes none when somebody has sent one.
        yield* order("first").pipe(Effect.timeoutOption("300 millis"))
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => Effect.runSync(amqp.blocked.get) })
        const waiting = yield* Effect.forEach(["a", "b"], (text) => Effect.fork(order(text)))
        yield* turns(3)
        const overloaded = { _tag: "AmqpError", reason: "Overloaded" }
        expect(yield* Effect.flip(order("c"))).toMatchObject(overloaded)
        expect(yield* Effect.flip(amqp.publish("news", "d", "d", { resend: true, maxWait: "1 hour" }))).toMatchObject(
          overloaded
        )
        // Calls have as many places of their own.
        const calls = yield* Effect.forEach(["e", "f"], (text) => Effect.fork(amqp.call("", "nobody", text)))
        yield* turns(3)
        expect(yield* Effect.flip(amqp.call("", "nobody", "g"))).toMatchObject(overloaded)
        // One that leaves makes room for another.
        yield* Fiber.interruptAll(waiting.slice(1))
        const later = yield* Effect.fork(order("later"))
        yield* turns(3)
        expect(yield* Effect.flip(order("h"))).toMatchObject(overloaded)
        yield* control("set_vm_memory_high_watermark", "0.4")
        yield* Fiber.joinAll([...waiting.slice(0, 1), later])
        for (const call of calls) expect(yield* Effect.flip(Fiber.join(call))).toMatchObject({ reason: "Unroutable" })
        yield* order("last")
        const texts = yield* amqp.consume("bounded", { noAck: true }).pipe(
          Stream.map(({ content }) => `${content}`),
          Stream.takeUntil((text) => text === "last"),
          Stream.runCollect
        )
        expect([...texts].filter((text) => text !== "first")).toEqual(["a", "later", "last"])
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 33
    it.scoped("takes no messages for now: one whose content is gone when it does harms no other", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("detached"))
        yield* control("set_vm_memory_high_watermark", "0")
        yield* amqp.sendToQueue("detached", "first").pipe(Effect.timeoutOption("300 millis"))
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => Effect.runSync(amqp.blocked.get) })
        const content = new Uint8Array(10)
        const bad = yield* Effect.fork(amqp.sendToQueue("detached", content))
        const good = yield* Effect.fork(amqp.sendToQueue("detached", "good"))
        yield* turns(3)
        structuredClone(content, { transfer: [content.buffer] })
        yield* control("set_vm_memory_high_watermark", "0.4")
        expect(yield* Effect.flip(Fiber.join(bad))).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        yield* Fiber.join(good)
        yield* amqp.sendToQueue("detached", "good too")
      })
    )

    // Kind 33
    it.scoped("takes no messages for now: one that can't be looked at when it does harms no other", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("unreadable"))
        yield* control("set_vm_memory_high_watermark", "0")
        yield* amqp.sendToQueue("unreadable", "first").pipe(Effect.timeoutOption("300 millis"))
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => Effect.runSync(amqp.blocked.get) })
        const { proxy: headers, revoke } = Proxy.revocable({ a: 1 }, {})
        const bad = yield* Effect.fork(amqp.sendToQueue("unreadable", "bad", { headers, mandatory: true }))
        const good = yield* Effect.fork(amqp.sendToQueue("unreadable", "good"))
        yield* turns(3)
        revoke()
        yield* control("set_vm_memory_high_watermark", "0.4")
        expect(yield* Effect.flip(Fiber.join(bad))).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        yield* Fiber.join(good)
        yield* amqp.sendToQueue("unreadable", "good too")
      })
    )

    // Kind 33
    it.scoped("reads nothing: no more than maxWaiting wait for its socket, and all others are sent", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect({ heartbeat: false, maxWaiting: 5 })
        yield* amqp.use((channel) => channel.assertQueue("full socket"))
        yield* server.pause
        const content = new Uint8Array(60_000)
        const sending = yield* Effect.fork(
          Effect.forEach(Array.from({ length: 500 }), () => Effect.either(amqp.sendToQueue("full socket", content)), {
            concurrency: "unbounded"
          })
        )
        yield* turns(200)
        yield* server.resume
        const ends = yield* Fiber.join(sending)
        const refused = ends.flatMap((end) => (end._tag === "Left" ? [end.left] : []))
        expect(refused.length).toBeGreaterThan(0)
        expect(refused.every((error) => error._tag === "AmqpError" && error.reason === "Overloaded")).toBe(true)
        expect(yield* countOf(amqp, "full socket")).toBe(500 - refused.length)
      })
    )

    // Kind 32
    it.scoped("closes the channel of one who uses it for a message that it refuses, and who is told why", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const refused = amqp.use(async (channel) => {
          channel.publish("no such exchange", "", Buffer.from("a"))
          await channel.waitForConfirms()
        })
        expect(yield* Effect.flip(refused)).toMatchObject({ _tag: "AmqpError", reason: "ChannelClosed", code: 404 })
        const closed = amqp.use(async (channel) => {
          await channel.close()
          await channel.checkExchange("amq.direct")
        })
        expect(yield* Effect.flip(closed)).toMatchObject({ _tag: "AmqpError", reason: "ChannelClosed" })
      })
    )

    // Kind 32
    it.scoped("is used by one whose listeners throw, or who leaves none: that one is told, and the others go on", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const fail = () => {
          throw new Error("a listener")
        }
        const refused = (before: (channel: Channel) => unknown) =>
          Effect.flip(
            amqp.use(async (channel) => {
              before(channel)
              await channel.checkQueue("no such queue")
            })
          )
        for (const before of [
          (channel: Channel) => channel.prependListener("error", fail).prependListener("close", fail),
          (channel: Channel) => channel.removeAllListeners()
        ]) {
          expect(yield* refused(before)).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code: 404 })
        }
        yield* amqp.use(async (channel) => {
          const { queue } = await channel.assertQueue("", { exclusive: true })
          const returned = new Promise<void>((resolve) => {
            channel.on("return", () => {
              resolve()
              fail()
            })
          })
          channel.publish("", "nowhere", Buffer.from("a"), { mandatory: true })
          await returned
          await channel.checkQueue(queue)
        })
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 32
    it.scoped("closes the channel of one who waits on it for ever, and can't be interrupted", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const connection = yield* amqp.service.whenConnected()
        const waiting = connection.use((channel) => {
          channel.publish("nowhere", "", Buffer.from("a"))
          return new Promise<never>(() => {})
        })
        const error = yield* Effect.flip(Effect.uninterruptible(waiting))
        expect(error).toMatchObject({ _tag: "AmqpError", reason: "ChannelClosed", code: 404 })
      })
    )

    // Kind 32
    it.scoped("takes messages of every size up to its own, also where a frame ends", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("sizes"))
        const payload = 8192 - 8
        const sizes = [0, 1, payload - 1, payload, payload + 1, 3 * payload, 65_536]
        for (const size of sizes) yield* amqp.sendToQueue("sizes", new Uint8Array(size))
        const received = yield* amqp.consume("sizes", { noAck: true }).pipe(
          Stream.map(({ content }) => content.length),
          Stream.take(sizes.length),
          Stream.runCollect
        )
        expect([...received]).toEqual(sizes)
        const names = ["k".repeat(255), "a\0b", "ü".repeat(127)]
        for (const name of names) yield* amqp.publish("amq.direct", name, "a")
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 33
    it.scoped("reads nothing: what does not fit the socket is not sent once it is given up", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect({ heartbeat: false })
        yield* amqp.use((channel) => channel.assertQueue("paused"))
        yield* server.pause
        const content = new Uint8Array(60_000)
        const many = yield* Effect.fork(
          Effect.forEach(Array.from({ length: 2000 }), () => amqp.sendToQueue("paused", content), {
            concurrency: "unbounded",
            discard: true
          })
        )
        yield* turns(200)
        yield* Fiber.interrupt(many)
        yield* server.resume
        yield* amqp.sendToQueue("paused", "the last one")
        // The buffers of the system take some megabytes.
        expect(yield* countOf(amqp, "paused")).toBeLessThan(500)
      })
    )

    // Kind 34: Of two that are alike, one gets the answer that is for the other.
    it.scoped("returns one of two messages of the same content: that one is told, and the other is confirmed", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* amqp.use(async (channel) => {
          await channel.assertExchange("by headers", "headers")
          await channel.assertQueue("matched")
          await channel.bindQueue("matched", "by headers", "", { "x-match": "all", kind: "known" })
        })
        const publish = (kind: string) =>
          Effect.either(amqp.publish("by headers", "", "same", { mandatory: true, headers: { kind } }))
        for (const kinds of [
          ["known", "unknown"],
          ["unknown", "known"],
          ["unknown", "known", "unknown", "known", "known", "unknown"]
        ]) {
          const ends = yield* Effect.all(kinds.map(publish), { concurrency: "unbounded" })
          expect(ends.map(({ _tag }) => _tag)).toEqual(kinds.map((kind) => (kind === "known" ? "Right" : "Left")))
        }
        const message = yield* Stream.runHead(amqp.consume("matched", { noAck: true })).pipe(Effect.flatten)
        expect(message.properties.headers).toEqual({ kind: "known" })
      })
    )

    it.scoped("does not have its connection closed by one caller for all the others", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        const closes = [
          // The types tell less of it than there is.
          Effect.asVoid(amqp.use(async ({ connection }) => Reflect.get(connection, "close").call(connection))),
          amqp.service
            .use(({ model }) => Effect.tryPromise(() => model.close()))
            .pipe(Effect.mapError(({ cause }) => cause))
        ]
        for (const close of closes) {
          const refused = yield* Effect.flip(close)
          expect(String(refused)).toContain("not for one caller to close")
          yield* amqp.use((channel) => channel.assertQueue("open"))
        }
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
        // Its owner does, and the server knows.
        yield* amqp.service.stop
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Stopped" })
      })
    )

    it.scoped("has one connection, however many channels there are on it, which the metrics tell", () =>
      Effect.gen(function* () {
        const amqp = yield* Effect.provide(connect(), Telemetry.layer).pipe(Effect.tagMetrics("test", "one"))
        const declare = (channel: Channel) => channel.assertQueue("counted")
        const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
        yield* amqp.consume("counted", { declare }).pipe(
          Stream.runForEach((message) => Queue.offer(messages, message)),
          Effect.tagMetrics("test", "one"),
          Effect.forkScoped
        )
        yield* Effect.retry(amqp.sendToQueue("counted", "a", { mandatory: true }), { times: 1000 })
        yield* Queue.take(messages)
        const pairs = yield* Metric.snapshot
        const open = pairs.filter(
          ({ metricKey: { name, tags } }) =>
            name === "client_service.connections.open" &&
            tags.some(({ key, value }) => key === "test" && value === "one")
        )
        expect(open).toMatchObject([{ metricState: { count: 1 } }])
      })
    )
  })
})
