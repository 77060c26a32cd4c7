import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Schedule, TestClock } from "effect"
import { ClientService, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { metricsOf } from "./support/metrics.js"

const second = Schedule.spaced("1 second")

// The metrics are those of the whole process, so each test has a name of its own.
const makeService = (name: string, options?: { readonly maxAge: "1 hour" }) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({
      ...options,
      endpoint: server.endpoint,
      name,
      retryPolicy: second,
      connectTimeout: "10 seconds",
      heartbeat: {
        probe: (protocol) => (protocol === "mute" ? Effect.never : Effect.void),
        interval: 60_000,
        timeout: 7
      }
    })
    return { server, service }
  })

describe("metrics", () => {
  it.scoped("count attempts by outcome", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("attempts")
      yield* service.start
      yield* server.refuse("no")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("1 second")
      yield* server.accept("yes")
      yield* awaitState(service, "Connected")
      yield* service.reconnect
      yield* settle
      yield* service.stop
      expect(yield* metricsOf("attempts")).toMatchObject({
        "attempts failed": 1,
        "attempts timed_out": 1,
        "attempts succeeded": 1,
        "attempts interrupted": 1
      })
    })
  )

  it.scoped("count the ends of connections by reason", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("ends")
      yield* service.start
      const lost = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* lost.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server.accept("mute")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("61 seconds")
      yield* TestClock.adjust("1 second")
      yield* server.accept("third")
      yield* awaitState(service, "Connected")
      yield* service.reconnect
      yield* server.accept("fourth")
      yield* awaitState(service, "Connected")
      yield* service.stop
      expect(yield* metricsOf("ends")).toMatchObject({
        "disconnects lost": 1,
        "disconnects heartbeat": 1,
        "disconnects replaced": 1,
        "disconnects stopped": 1,
        open_connections: 0
      })
    })
  )

  it.scoped("tell how many connections are up, how long they took and how long they lasted", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("times")
      yield* service.start
      yield* TestClock.adjust("3 seconds")
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      expect(yield* metricsOf("times")).toMatchObject({ open_connections: 1, time_to_connect_millis: [1, 3000] })
      yield* TestClock.adjust("20 seconds")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      expect(yield* metricsOf("times")).toMatchObject({ open_connections: 0, connection_lifetime_millis: [1, 20_000] })
    })
  )

  it.scoped("count both connections while one replaces the other", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("both", { maxAge: "1 hour" })
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      const user = yield* Effect.fork(service.use(() => Effect.never))
      yield* TestClock.adjust("1 hour")
      // The attempt of before may have timed out, and the next be a second away.
      const accepting = yield* Effect.fork(server.accept("second"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(accepting)
      yield* settle
      expect(yield* metricsOf("both")).toMatchObject({ open_connections: 2 })
      yield* Fiber.interrupt(user)
      yield* settle
      expect(yield* metricsOf("both")).toMatchObject({ open_connections: 1, "disconnects replaced": 1 })
    })
  )

  it.scoped("tell how many fibers wait, however their wait ends", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("waiters")
      yield* service.start
      const wait = (options: { readonly failAfterFailures: number } | undefined) =>
        Effect.fork(Effect.exit(options === undefined ? service.whenConnected() : service.whenConnected(options)))
      const patient = yield* wait(undefined)
      const leaving = yield* wait(undefined)
      const impatient = yield* wait({ failAfterFailures: 1 })
      const lessSo = yield* wait({ failAfterFailures: 2 })
      yield* settle
      expect(yield* metricsOf("waiters")).toMatchObject({ waiters: 4 })
      yield* Fiber.interrupt(leaving)
      expect(yield* metricsOf("waiters")).toMatchObject({ waiters: 3 })
      yield* server.refuse("no")
      yield* Fiber.join(impatient)
      expect(yield* metricsOf("waiters")).toMatchObject({ waiters: 2 })
      yield* TestClock.adjust("1 second")
      yield* server.accept("yes")
      yield* Fiber.joinAll([patient, lessSo])
      expect(yield* metricsOf("waiters")).toMatchObject({ waiters: 0 })
      yield* service.stop
      yield* service.start
      const last = yield* wait(undefined)
      yield* settle
      expect(yield* metricsOf("waiters")).toMatchObject({ waiters: 1 })
      yield* service.stop
      yield* Fiber.join(last)
      expect(yield* metricsOf("waiters")).toMatchObject({ waiters: 0 })
    })
  )

  it.scoped("have the labels of whoever makes the service", () =>
    Effect.gen(function* () {
      const { service } = yield* Effect.tagMetrics(makeService("labelled"), "shard", "7")
      yield* service.start
      yield* settle
      yield* service.stop
      const snapshot = yield* Metric.snapshot
      const tags = snapshot.map(({ metricKey }) => metricKey.tags.map(({ key, value }) => `${key}=${value}`))
      expect(tags).toContainEqual(["shard=7", "service=labelled", "outcome=interrupted"])
    })
  )
})
