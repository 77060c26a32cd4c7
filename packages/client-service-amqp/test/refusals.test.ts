import { describe, expect, it } from "@effect/vitest"
import type { Channel } from "amqplib"
import { Deferred, Effect, Exit, Fiber, Queue, Random, Redacted, Ref, Schedule, Stream } from "effect"
import { RetryPolicy } from "effect-client-service"
import { type Amqp, AmqpError, type AmqpMessage } from "effect-client-service-amqp"
import * as servers from "test-servers/rabbitmq"
import { isPermanentReply } from "../src/internal/permanent.js"
import { connect, connectTo, installedPaths, isMissing, onServer, Server } from "./support/server.js"

/** Why an attempt has failed. */
const refusal = (amqp: Amqp.Service) =>
  Effect.flatMap(Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 })), (error) =>
    error instanceof AmqpError.AmqpError ? Effect.succeed(error) : Effect.dieMessage(String(error))
  )

/** The end of a consumer. */
const end = (amqp: Amqp.Service, queue: string, options?: Amqp.ConsumeOptions) =>
  Effect.flip(Stream.runDrain(amqp.consume(queue, options)))

/** Takes messages until one of them is this. */
const until = (messages: Queue.Queue<AmqpMessage.AmqpMessage>, text: string) =>
  Queue.take(messages).pipe(
    Effect.tap(({ ack }) => Effect.ignore(ack)),
    Effect.repeat({ until: ({ content }) => content.toString() === text })
  )

const consumed = (amqp: Amqp.Service, queue: string, options?: Amqp.ConsumeOptions) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<AmqpMessage.AmqpMessage>()
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(amqp.consume(queue, options), (message) => Queue.offer(messages, message))
    )
    return { fiber, messages }
  })

describe("a reply is final only if it is known to be", () => {
  for (const [code, text, isPermanent] of [
    [403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details ...", true],
    [403, "ACCESS_REFUSED - queue 'a' in vhost '/' in exclusive use", false],
    [404, "NOT_FOUND - home node 'a@b' of durable queue 'a' in vhost '/' is down or inaccessible", false],
    [404, "NOT_FOUND - queue 'a' in vhost '/' process is stopped by supervisor", false],
    [405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'a' in vhost '/'", false],
    [406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out", false],
    [506, "RESOURCE_ERROR - anything", false],
    [530, "NOT_ALLOWED - vhost a not found", true],
    [530, "NOT_ALLOWED - access to vhost '/' refused for user 'a': connection limit (1) is reached", false],
    [530, "NOT_ALLOWED - connection refused for user 'a': user connection limit (1) is reached", false],
    [541, "INTERNAL_ERROR - access to vhost '/' refused for user 'a': vhost '/' is down", false],
    [320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", false],
    [undefined, undefined, false]
  ] as const)
    it(`${code} ${text}`, () => {
      expect(isPermanentReply(code, text)).toBe(isPermanent)
    })
})

describe.skipIf(isMissing)("a server", () => {
  onServer(Server.Live, (it) => {
    // Kind 31: A server says no for now, and the client takes it for the last word.
    it.scoped("opens no connection for now, which does not end a policy, whatever the code", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        const waiting = RetryPolicy.whileError(
          RetryPolicy.fromFunction(() => "50 millis"),
          (error) => !AmqpError.isFatal(error)
        )
        for (const [limit, lift, detail] of [
          [
            ["set_user_limits", "test", '{"max-connections": 0}'],
            ["clear_user_limits", "test", "all"],
            "user connection"
          ],
          [["set_vhost_limits", "-p", "/", '{"max-connections": 0}'], ["clear_vhost_limits", "-p", "/"], "limit (0)"]
        ] as const) {
          yield* control(...limit)
          const amqp = yield* connect({}, { retryPolicy: waiting })
          const error = yield* refusal(amqp)
          expect(error).toMatchObject({ reason: "NotReady", code: 530 })
          expect(error.detail).toContain(detail)
          expect(AmqpError.isFatal(error)).toBe(false)
          yield* control(...lift)
          yield* amqp.service.whenConnected()
        }
      })
    )

    // Kind 31
    it.scoped("refuses what no waiting mends, which is fatal", () =>
      Effect.gen(function* () {
        const { control, password, port, tls, user } = yield* Server
        yield* control("add_vhost", "forbidden")
        const secret = encodeURIComponent(password)
        const attempt = (url: string, options = {}) =>
          Effect.flatMap(connect({ url, ...options }), (amqp) => refusal(amqp))
        for (const [url, reason, code] of [
          [`amqp://${user}:hunter2@127.0.0.1:${port}`, "Authentication", 403],
          [`amqp://${user}:${secret}@127.0.0.1:${port}?auth_mechanism=external`, "Authentication", undefined],
          [`amqp://${user}:${secret}@127.0.0.1:${port}/none`, "NotAllowed", 530],
          [`amqp://${user}:${secret}@127.0.0.1:${port}/forbidden`, "NotAllowed", 530]
        ] as const) {
          const error = yield* attempt(url)
          expect(error).toMatchObject({ reason, code })
          expect(AmqpError.isFatal(error)).toBe(true)
        }
        // Where an Effect gives the password, it is asked again.
        const again = yield* attempt(`amqp://127.0.0.1:${port}`, {
          username: user,
          password: Effect.succeed(Redacted.make("hunter2"))
        })
        expect(again).toMatchObject({ reason: "Authentication", code: 403 })
        expect(AmqpError.isFatal(again)).toBe(false)
        // What the server says is known over TLS as well.
        const overTls = yield* attempt(`amqps://${user}:${secret}@127.0.0.1:${tls.port}/none`, { tls: { ca: tls.ca } })
        expect(overTls).toMatchObject({ reason: "NotAllowed", code: 530, detail: "NOT_ALLOWED - vhost none not found" })
      })
    )

    // Kind 31
    it.scoped(
      "gets no password as the vault is sealed, and is asked again for a policy that ends by what is fatal",
      () =>
        Effect.gen(function* () {
          const { password, user } = yield* Server
          const asked = yield* Ref.make(0)
          const vault = Effect.flatMap(
            Ref.updateAndGet(asked, (count) => count + 1),
            (count) => (count < 3 ? Effect.fail("503") : Effect.succeed(Redacted.make(password)))
          )
          const policy = RetryPolicy.whileError(
            RetryPolicy.fromFunction(() => "10 millis"),
            (error) => !AmqpError.isFatal(error)
          )
          const amqp = yield* connect({ username: user, password: vault }, { retryPolicy: policy })
          yield* amqp.service.whenConnected()
          expect(yield* Ref.get(asked)).toBe(3)
        })
    )

    // Kind 31
    it.scoped("refuses a consumer for now, who waits: a queue that another uses, or has locked", () =>
      Effect.gen(function* () {
        const other = yield* connect()
        const amqp = yield* connect()
        const used = (channel: Channel) => channel.assertQueue("used")
        const first = yield* consumed(other, "used", { declare: used, exclusive: true })
        yield* Effect.retry(other.sendToQueue("used", "a", { mandatory: true }), Schedule.spaced("20 millis"))
        yield* until(first.messages, "a")
        const second = yield* consumed(amqp, "used", { declare: used })
        // It is refused before this is answered.
        yield* amqp.use((channel) => channel.checkQueue("used"))
        yield* Fiber.interrupt(first.fiber)
        yield* other.sendToQueue("used", "b")
        yield* until(second.messages, "b")

        const locked = (channel: Channel) => channel.assertQueue("locked", { exclusive: true })
        yield* other.use(locked)
        const third = yield* consumed(amqp, "locked", { declare: locked })
        yield* Effect.flip(amqp.use((channel) => channel.checkQueue("locked")))
        yield* other.service.stop
        yield* Effect.retry(amqp.sendToQueue("locked", "c", { mandatory: true }), Schedule.spaced("20 millis"))
        yield* until(third.messages, "c")
      })
    )

    // Kind 31
    it.scoped("refuses a consumer what no waiting mends, which ends it", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        const amqp = yield* connect()
        yield* amqp.use((channel) => channel.assertQueue("there"))
        yield* amqp.use((channel) =>
          channel.assertQueue("stream of refusals", { arguments: { "x-queue-type": "stream" } })
        )
        for (const [code, queue, declare] of [
          [404, "no such queue", undefined],
          [404, "", undefined],
          [404, "there", (channel: Channel) => channel.bindQueue("there", "no such exchange", "")],
          [403, "amq.reserved", (channel: Channel) => channel.assertQueue("amq.reserved")],
          [403, "there", (channel: Channel) => channel.bindQueue("there", "", "")],
          [406, "there", (channel: Channel) => channel.assertQueue("there", { durable: false })],
          [406, "bad", (channel: Channel) => channel.assertQueue("bad", { messageTtl: -1 })],
          [
            406,
            "bad",
            (channel: Channel) =>
              channel.assertQueue("bad", { durable: false, arguments: { "x-queue-type": "quorum" } })
          ]
        ] as const) {
          const error = yield* end(amqp, queue, { declare })
          expect(error).toMatchObject({ _tag: "AmqpError", reason: "Rejected", code })
        }
        yield* control("set_permissions", "test", "^there$", ".*", "^$")
        expect(yield* end(amqp, "there")).toMatchObject({ reason: "Rejected", code: 403 })
        yield* control("set_permissions", "test", ".*", ".*", ".*")
        const long = yield* end(amqp, "q".repeat(256))
        expect(long).toMatchObject({ _tag: "AmqpError", reason: "Invalid" })
        const circular: Record<string, unknown> = {}
        circular["itself"] = circular
        for (const a of [Number.NaN, Number.POSITIVE_INFINITY, circular, 1n])
          expect(yield* end(amqp, "there", { arguments: { a } })).toMatchObject({ reason: "Invalid" })
        expect(yield* amqp.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
    )

    // Kind 31
    it.scoped("closes the connection for an error of its own, again and again: its consumer waits, and goes on", () =>
      Effect.gen(function* () {
        const { control } = yield* Server
        const amqp = yield* connect()
        let count = 0
        const declare = async (channel: Channel) => {
          await channel.assertQueue("broken")
          if (++count > 3) return
          await Effect.runPromise(control("eval", "[exit(Channel, kill) || Channel <- rabbit_channel:list()]."))
          await channel.checkQueue("broken")
        }
        const { messages } = yield* consumed(amqp, "broken", { declare })
        yield* Effect.repeat(
          Effect.delay(
            Effect.sync(() => count),
            "50 millis"
          ),
          { until: (count) => count > 3 }
        )
        yield* amqp.sendToQueue("broken", "a", { mandatory: true, resend: true })
        yield* until(messages, "a")
        const state = yield* amqp.service.state.get
        expect(state._tag === "Connected" ? state.generation : state).toBeGreaterThan(3)
      })
    )

    // Kind 31
    it.scoped(
      "closes the connection for an error of its own: its consumer, who waits, is told of a stop as it begins",
      () =>
        Effect.gen(function* () {
          const { control } = yield* Server
          const amqp = yield* connect({}, { drainTimeout: "5 seconds" })
          let count = 0
          const declare = async (channel: Channel) => {
            count += 1
            await channel.assertQueue("broken for now")
            await Effect.runPromise(control("eval", "[exit(Channel, kill) || Channel <- rabbit_channel:list()]."))
            await channel.checkQueue("broken for now")
          }
          const minute: Random.Random = Object.assign(Object.create(Random.make("any")), {
            nextIntBetween: () => Effect.succeed(60_000)
          })
          const ended = yield* Effect.fork(Effect.withRandom(end(amqp, "broken for now", { declare }), minute))
          yield* amqp.service.state.changes.pipe(
            Stream.filter((state) => count === 3 && state._tag === "Connected" && state.generation > 3),
            Stream.runHead
          )
          const using = yield* Deferred.make<void>()
          const release = yield* Deferred.make<void>()
          const use = yield* Effect.fork(
            amqp.use(async () => {
              Deferred.unsafeDone(using, Exit.void)
              await Effect.runPromise(Deferred.await(release))
            })
          )
          yield* Deferred.await(using)
          const stopping = yield* Effect.fork(amqp.service.stop)
          expect(yield* Fiber.join(ended)).toMatchObject({ _tag: "ServiceStopped" })
          expect((yield* amqp.service.state.get)._tag).toBe("Disconnecting")
          yield* Deferred.succeed(release, undefined)
          yield* Fiber.join(use)
          yield* Fiber.join(stopping)
        })
    )

    // Kind 31
    it.scoped("has nothing to do with what a declaration fails with of its own, which is done again", () =>
      Effect.gen(function* () {
        const amqp = yield* connect()
        let count = 0
        const declare = async (channel: Channel) => {
          if (++count < 3) throw new Error("the catalogue could not be read")
          await channel.assertQueue("declared")
        }
        const { messages } = yield* consumed(amqp, "declared", { declare })
        yield* Effect.retry(amqp.sendToQueue("declared", "a", { mandatory: true }), Schedule.spaced("20 millis"))
        yield* until(messages, "a")
        expect(count).toBe(3)
      })
    )

    // Kind 31
    it.scoped(
      "in a cluster, is without the node of a durable queue: its consumer waits for it, and goes on when it is back",
      () =>
        Effect.gen(function* () {
          const first = yield* Server
          const second = yield* servers.make(installedPaths(), { joins: first })
          const amqp = yield* connectTo(first)
          const home = yield* connectTo(second)
          yield* home.use((channel) => channel.assertQueue("orders"))
          const { fiber, messages } = yield* consumed(amqp, "orders")
          yield* home.sendToQueue("orders", "a")
          yield* until(messages, "a")
          yield* second.kill
          const gone = (error: unknown) => error instanceof AmqpError.AmqpError && /home node/.test(error.message)
          const refused = yield* Effect.flip(amqp.use((channel) => channel.checkQueue("orders"))).pipe(
            Effect.repeat({ until: gone })
          )
          expect(refused).toMatchObject({ reason: "Rejected", code: 404 })
          yield* Effect.sleep("1 second")
          expect(yield* Fiber.poll(fiber)).toMatchObject({ _tag: "None" })
          yield* second.start
          yield* amqp.sendToQueue("orders", "b", { mandatory: true }).pipe(Effect.retry(Schedule.spaced("50 millis")))
          yield* until(messages, "b")
        }),
      180_000
    )
  })
})
