import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Logger, LogLevel, Queue, Schedule, type Scope } from "effect"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
import { FaultProxy } from "effect-client-service-node"
import * as servers from "test-servers/rabbitmq"
import * as manager from "../coming-from/amqp-connection-manager/before.js"
import { after } from "../coming-from/amqplib/after.js"
import * as amqplib from "../coming-from/amqplib/before.js"
import { oneServer } from "./oneServer.js"
import { run } from "./program.js"

const installed = await servers.install()
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

const startServer = oneServer(
  installed.isInstalled ? servers.make(installed.paths) : Effect.dieMessage(installed.reason)
)

describe.skipIf(!installed.isInstalled)("amqp", () => {
  it.scopedLive(
    "publishes, and consumes across a loss of its connection",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer
        const program = yield* run("amqp.ts", [], { AMQP_URL: server.url })
        yield* program.stdout.until("write the report\n")
        yield* server.control("close_all_connections", "bye")
        const amqp = yield* Amqp.make({ endpoint: AmqpEndpoint.make({ url: server.url }) })
        yield* amqp.sendToQueue("jobs", "go home")
        expect(yield* program.ended).toBe(0)
        const lines = program.stdout.text().split("\n")
        expect(lines.filter((line) => line === "write the report").length).toBeGreaterThan(0)
        expect(lines).toContain("go home")
        expect(program.stderr.text()).toBe("")
      }),
    60_000
  )
})

describe.skipIf(!installed.isInstalled)("coming from other clients of AMQP", () => {
  type Open = (
    url: string,
    onJob: (job: string) => void
  ) => Effect.Effect<{ readonly send: (job: string) => Effect.Effect<unknown, unknown> }, never, Scope.Scope>

  type Before = (
    url: string,
    onJob: (job: string) => void
  ) => Promise<{ readonly send: (job: string) => Promise<unknown>; readonly close: () => Promise<void> }>

  const beforeOf =
    (before: Before): Open =>
    (url, onJob) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.promise(() => before(url, onJob)),
          // What is lost can't be closed.
          ({ close }) => Effect.ignore(Effect.tryPromise(close))
        ),
        ({ send }) => ({ send: (job) => Effect.tryPromise({ try: () => send(job), catch: String }) })
      )

  // Somebody gives up a message while there is no connection. Which ones are consumed, in the end?
  const story = (server: servers.RabbitMQ, open: Open) =>
    Effect.gen(function* () {
      const proxy = yield* FaultProxy.make({ upstream: { host: server.host, port: server.port } })
      const jobs = yield* Queue.unbounded<string>()
      const { send } = yield* open(server.url.replace(`:${server.port}`, `:${proxy.port}`), (job) =>
        jobs.unsafeOffer(job)
      )
      yield* send("one")
      const first = yield* Queue.take(jobs)
      const accepted = yield* proxy.accepted
      yield* proxy.set(FaultProxy.blackHole())
      yield* proxy.dropAll
      // It has noticed, and connects again.
      yield* Effect.repeat(proxy.accepted, { until: (now) => now > accepted, schedule: Schedule.spaced("5 millis") })
      const givenUp = yield* Effect.fork(send("given up"))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(givenUp)
      yield* proxy.heal
      yield* send("two")
      // What was consumed and not acknowledged before the loss comes again.
      return [first, yield* Effect.repeat(Queue.take(jobs), { until: (job) => job !== first })]
    }).pipe(Effect.scoped)

  it.scopedLive(
    "amqplib is lost with its connection, amqp-connection-manager sends what was given up, and Amqp does not",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer
        const direct = yield* Amqp.make({ endpoint: AmqpEndpoint.make({ url: server.url }) })

        const proxy = yield* FaultProxy.make({ upstream: { host: server.host, port: server.port } })
        const jobs = yield* Queue.unbounded<string>()
        const url = server.url.replace(`:${server.port}`, `:${proxy.port}`)
        const { send } = yield* beforeOf(amqplib.before)(url, (job) => jobs.unsafeOffer(job))
        yield* send("one")
        expect(yield* Queue.take(jobs)).toBe("one")
        yield* proxy.dropAll
        expect(yield* Effect.flip(send("two"))).toMatch(/closed/i)
        yield* direct.sendToQueue("orders", "three")
        expect(yield* Queue.size(jobs)).toBe(0)
        yield* direct.use((channel) => channel.purgeQueue("orders"))

        expect(yield* story(server, beforeOf(manager.before))).toEqual(["one", "given up"])
        yield* direct.use((channel) => channel.purgeQueue("orders"))
        expect(yield* story(server, after)).toEqual(["one", "two"])
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None)),
    60_000
  )
})
