import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect } from "@effect/vitest"
import type { Channel } from "amqplib"
import { Duration, Effect, Fiber, Queue, Redacted, Ref, Schedule, Stream } from "effect"
import { Endpoint } from "effect-client-service"
import { Amqp, AmqpEndpoint, type AmqpMessage } from "effect-client-service-amqp"
import * as servers from "test-servers/rabbitmq"
import * as serverProcess from "test-servers/serverProcess"
import { connect, connectTo, installedPaths, isMissing, onServer, retryPolicy, Server } from "./support/server.js"

/** Answers what is asked in a queue, but for what is not to be answered yet. */
const answering = (amqp: Amqp.Service, queue: string) =>
  Effect.gen(function* () {
    const kept = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
    const answer = ({ content, properties }: AmqpMessage.AmqpMessage) =>
      amqp.sendToQueue(properties.replyTo, `${content}!`, { correlationId: properties.correlationId })
    yield* amqp.consume(queue, { declare: (channel: Channel) => channel.assertQueue(queue) }).pipe(
      Stream.tap((message) => Effect.ignore(message.ack)),
      Stream.runForEach((message) =>
        `${message.content}` === "later" ? Queue.offer(kept, message) : Effect.ignore(answer(message))
      ),
      Effect.forkScoped
    )
    return { kept, answer }
  })

describe.skipIf(isMissing)("a server", () => {
  onServer(Server.knowingCertificates, (it) => {
    it.scoped("passes on a call and its answer, whichever comes first, and tells if nobody is called", () =>
      Effect.gen(function* () {
        const server = yield* connect()
        const amqp = yield* connect()
        expect(yield* Effect.flip(amqp.call("", "nobody", "a"))).toMatchObject({ reason: "Unroutable" })
        const { answer, kept } = yield* answering(server, "shout")
        const ready = Effect.retry(amqp.call("", "shout", "hello"), Schedule.spaced("10 millis"))
        expect(`${(yield* ready).content}`).toBe("hello!")
        const later = yield* Effect.fork(amqp.call("", "shout", "later"))
        const texts = Array.from({ length: 50 }, (_, index) => `${index}`)
        const answers = yield* Effect.forEach(texts, (text) => amqp.call("", "shout", text), {
          concurrency: "unbounded"
        })
        expect(answers.map(({ content }) => `${content}`)).toEqual(texts.map((text) => `${text}!`))
        yield* answer(yield* Queue.take(kept))
        expect(`${(yield* Fiber.join(later)).content}`).toBe("later!")
        // A call that is given up has an answer for nobody.
        yield* amqp.call("", "shout", "later").pipe(Effect.timeoutOption("100 millis"))
        yield* answer(yield* Queue.take(kept))
        expect(`${(yield* amqp.call("", "shout", "again")).content}`).toBe("again!")
      })
    )

    it.scoped("refuses a call of many, which is told, and the others are answered", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        yield* answering(amqp, "whisper")
        yield* Effect.retry(amqp.call("", "whisper", "hello"), Schedule.spaced("10 millis"))
        const good = Array.from({ length: 10 }, (_, index) => amqp.call("", "whisper", `${index}`, { resend: true }))
        const bad = Effect.flip(amqp.call("no such exchange", "", "bad", { resend: true }))
        const ends = yield* Effect.all([...good, bad], { concurrency: "unbounded" })
        expect(ends[10]).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code: 404 })
        expect(ends.slice(0, 10)).toEqual(
          ends.slice(0, 10).map(() => expect.objectContaining({ content: expect.anything() }))
        )
      })
    )

    it.scoped("is killed while a call waits for its answer: it is unanswered, or sent again", () =>
      Effect.gen(function* () {
        const server = yield* Server
        const amqp = yield* connect()
        const { answer, kept } = yield* answering(amqp, "slow")
        yield* Effect.retry(amqp.call("", "slow", "hello"), Schedule.spaced("10 millis"))
        const [once, again] = yield* Effect.all([
          Effect.fork(amqp.call("", "slow", "later")),
          Effect.fork(amqp.call("", "slow", "later", { resend: true }))
        ])
        yield* Queue.take(kept)
        yield* Queue.take(kept)
        yield* server.keepDeclared
        yield* server.kill
        expect(yield* Effect.flip(Fiber.join(once))).toMatchObject({ _tag: "AmqpError", reason: "Unanswered" })
        yield* server.start
        yield* answer(yield* Queue.take(kept))
        expect(`${(yield* Fiber.join(again)).content}`).toBe("later!")
      })
    )

    it.scoped("is told a new password before the one that it has expires, on the same connection", () =>
      Effect.gen(function* () {
        const { output, password, user } = yield* Server
        const asked = yield* Ref.make(0)
        const vault = Effect.flatMap(
          Ref.updateAndGet(asked, (count) => count + 1),
          (count) =>
            count === 2
              ? Effect.fail("503")
              : Effect.succeed({
                  value: Redacted.make(password),
                  expiresIn: count < 4 ? Duration.millis(400) : Duration.infinity
                })
        )
        const amqp = yield* connect({ username: user, password: vault })
        yield* amqp.service.whenConnected()
        const secrets = () => output().match(/updated secret/g)?.length ?? 0
        yield* Effect.repeat(Effect.sleep("50 millis"), { until: () => secrets() >= 2 })
        expect(yield* Ref.get(asked)).toBe(4)
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
        yield* amqp.use((channel) => channel.checkExchange("amq.direct"))
      })
    )

    it.scoped("takes over from another that is killed", () =>
      Effect.gen(function* () {
        const first = yield* servers.make(installedPaths())
        const second = yield* Server
        const endpoints = [first, second].map(({ url }) => AmqpEndpoint.make({ url: Redacted.make(url) }))
        const amqp = yield* Amqp.make({ endpoint: Endpoint.failover(endpoints), retryPolicy })
        const declare = (channel: Channel) => channel.assertQueue("anywhere")
        const messages = yield* Queue.unbounded<string>()
        yield* amqp.consume("anywhere", { declare, noAck: true }).pipe(
          Stream.runForEach(({ content }) => Queue.offer(messages, `${content}`)),
          Effect.forkScoped
        )
        const send = (text: string) =>
          Effect.retry(amqp.sendToQueue("anywhere", text, { mandatory: true }), Schedule.spaced("10 millis"))
        yield* send("a")
        expect(yield* Queue.take(messages)).toBe("a")
        yield* first.kill
        yield* send("b")
        expect(yield* Queue.take(messages)).toBe("b")
        const other = yield* connectTo(second)
        expect(yield* other.use((channel) => channel.checkQueue("anywhere"))).toMatchObject({ consumerCount: 1 })
      })
    )

    it.scoped("knows a user by the certificate that it has (EXTERNAL), by files that a URL names", () =>
      Effect.gen(function* () {
        const { control, tls } = yield* Server
        const directory = yield* serverProcess.temporaryDirectory
        const user = yield* tls.issue("machine")
        const files = { ca: tls.ca, userCert: user.cert, userKey: user.key }
        for (const [name, content] of Object.entries(files))
          yield* Effect.promise(() => writeFile(join(directory, name), content))
        yield* control("add_user", "machine", "no password that it has")
        yield* control("set_permissions", "machine", ".*", ".*", ".*")
        const parts = `cacertfile=${directory}/ca&certfile=${directory}/userCert&keyfile=${directory}/userKey`
        const amqp = yield* Amqp.make({
          endpoint: AmqpEndpoint.make({ url: `amqps://127.0.0.1:${tls.port}?auth_mechanism=external&${parts}` }),
          retryPolicy
        })
        yield* amqp.use((channel) => channel.assertQueue("machines"))
        yield* amqp.sendToQueue("machines", "a", { userId: "machine" })
      })
    )
  })
})
