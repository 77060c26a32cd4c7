import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Schedule, type Scope, Stream, TestClock } from "effect"
import {
  ClientService,
  ClientServiceMap,
  Endpoint,
  Incoming,
  Telemetry,
  TestEndpoint,
  type Transport
} from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { metricsOf, metricsWith } from "./support/metrics.js"

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
  }).pipe(Effect.provide(Telemetry.layer))

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
        "attempts failed _OTHER": 1,
        "attempts timed_out ConnectTimeout": 1,
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
        "disconnections lost ConnectionLost": 1,
        "disconnections heartbeat HeartbeatTimeout": 1,
        "disconnections replaced": 1,
        "disconnections stopped": 1,
        "connections.open": 0
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
      expect(yield* metricsOf("times")).toMatchObject({ "connections.open": 1, "connection.create_time": [1, 3] })
      yield* TestClock.adjust("20 seconds")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      expect(yield* metricsOf("times")).toMatchObject({ "connections.open": 0, "connection.duration": [1, 20] })
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
      expect(yield* metricsOf("both")).toMatchObject({ "connections.open": 2 })
      yield* Fiber.interrupt(user)
      yield* settle
      expect(yield* metricsOf("both")).toMatchObject({ "connections.open": 1, "disconnections replaced": 1 })
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

  it.scoped("count an attempt that is under way at stop as interrupted", () =>
    Effect.gen(function* () {
      const { service } = yield* makeService("stopped")
      yield* service.start
      yield* settle
      yield* service.stop
      expect(yield* metricsOf("stopped")).toMatchObject({ "attempts interrupted": 1, "status stopped": 1 })
    })
  )

  it.effect("tell the state that a service is in, and of none when it is gone", () =>
    Effect.gen(function* () {
      const states = (yield* Effect.scoped(
        Effect.gen(function* () {
          const { server, service } = yield* makeService("states")
          const seen = [yield* metricsOf("states")]
          const see = Effect.map(metricsOf("states"), (metrics) => seen.push(metrics))
          yield* service.start
          yield* see
          yield* server.refuse("no")
          yield* awaitState(service, "Waiting")
          yield* see
          yield* TestClock.adjust("1 second")
          yield* server.accept("yes")
          yield* awaitState(service, "Connected")
          yield* see
          yield* service.stop
          yield* see
          return seen
        })
      )).concat(yield* metricsOf("states"))
      const status = states.map((metrics) =>
        Object.keys(metrics).filter((key) => key.startsWith("status ") && metrics[key] !== 0)
      )
      expect(status).toEqual([
        ["status init"],
        ["status connecting"],
        ["status waiting"],
        ["status connected"],
        ["status stopped"],
        []
      ])
    })
  )

  it.scoped("tell how long the delays were, and how long there was no connection", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("down")
      yield* service.start
      yield* server.refuse("no")
      yield* TestClock.adjust("1 second")
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      // Until the first, there was none to lose.
      expect(yield* metricsOf("down")).not.toHaveProperty("downtime")
      yield* connection.drop()
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("2 seconds")
      yield* server.accept("second")
      yield* awaitState(service, "Connected")
      yield* service.stop
      yield* TestClock.adjust("1 hour")
      yield* service.start
      yield* server.accept("third")
      yield* awaitState(service, "Connected")
      expect(yield* metricsOf("down")).toMatchObject({ "retry.delay": [2, 2], downtime: [1, 3] })
    })
  )

  it.scoped("tell how long those waited who got a connection, and why others got none", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("waits")
      yield* service.start
      const patient = yield* Effect.fork(service.whenConnected())
      const impatient = yield* Effect.fork(Effect.exit(service.whenConnected({ failAfterFailures: 1 })))
      const limited = yield* Effect.fork(Effect.exit(service.use(Effect.succeed, { maxWait: "1 second" })))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(limited)
      yield* Effect.exit(service.use(Effect.succeed, { maxWait: 0 }))
      yield* server.refuse("no")
      yield* Fiber.join(impatient)
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      yield* Fiber.join(patient)
      // Who need not wait is not counted.
      yield* service.whenConnected()
      yield* service.stop
      yield* Effect.exit(service.whenConnected())
      expect(yield* metricsOf("waits")).toMatchObject({
        wait_time: [1, 2],
        "waiters.failed timed_out": 2,
        "waiters.failed attempt_failed": 1,
        "waiters.failed stopped": 1
      })
    })
  )

  it.scoped("tell of those who wait when the policy ends", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        name: "given up",
        retryPolicy: { times: 0 }
      }).pipe(Effect.provide(Telemetry.layer))
      yield* service.start
      const waiter = yield* Effect.fork(Effect.exit(service.whenConnected()))
      yield* server.refuse("no")
      yield* Fiber.join(waiter)
      expect(yield* metricsOf("given up")).toMatchObject({ "waiters.failed exhausted": 1, "status exhausted": 1 })
    })
  )

  it.scoped("tell of the uses, how many there are and how long they took, however they end", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("uses")
      yield* service.start
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* service.use(Effect.succeed)
      yield* Effect.exit(service.use(() => Effect.fail("no")))
      const lasting = yield* Effect.fork(Effect.exit(service.use(() => Effect.never)))
      const promised = yield* Effect.fork(Effect.exit(service.usePromise((_) => new Promise(() => {}))))
      yield* settle
      expect(yield* metricsOf("uses")).toMatchObject({ uses: 2, use_time: [2, 0] })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(promised)
      yield* TestClock.adjust("1 second")
      yield* connection.drop()
      yield* Fiber.join(lasting)
      expect(yield* metricsOf("uses")).toMatchObject({ uses: 0, use_time: [4, 7] })
    })
  )

  it.scoped("tell how long probes took to answer", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        name: "probes",
        heartbeat: { probe: () => Effect.sleep("2 seconds"), interval: "10 seconds", timeout: "5 seconds" }
      }).pipe(Effect.provide(Telemetry.layer))
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("2 seconds")
      yield* settle
      expect(yield* metricsOf("probes")).toMatchObject({ "heartbeat.duration": [1, 2] })
    })
  )

  it.scoped("count the gaps of streams", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("gaps")
      yield* service.start
      const elements: Array<string> = []
      yield* ClientService.stream(service, (protocol) => Stream.concat(Stream.succeed(protocol), Stream.never)).pipe(
        Stream.runForEach((element) => Effect.sync(() => elements.push(element))),
        Effect.fork
      )
      const connection = yield* server.accept("first")
      yield* settle
      yield* connection.drop()
      yield* TestClock.adjust("1 second")
      yield* server.accept("second")
      yield* settle
      expect(elements).toEqual(["first", "second"])
      expect(yield* metricsOf("gaps")).toMatchObject({ gaps: 1 })
    })
  )

  it.scoped("count the bytes that transports receive", () =>
    Effect.gen(function* () {
      const endpoint = Endpoint.make({
        name: "bytes",
        connect: (signal: Endpoint.ConnectionSignal<Transport.TransportError>) =>
          Incoming.make({ lost: signal.lost, linger: 0, capacity: 1024 })
      })
      const service = yield* ClientService.make({ endpoint, name: "bytes" }).pipe(Effect.provide(Telemetry.layer))
      yield* service.start
      const incoming = yield* service.whenConnected()
      incoming.offer(new Uint8Array(7))
      incoming.offer(new Uint8Array(5))
      expect(yield* metricsOf("bytes")).toMatchObject({ "buffer.received": 12 })
    })
  )

  it.scoped("have the labels of whoever makes the service, and the address that its endpoint tells", () =>
    Effect.gen(function* () {
      const endpoint = Endpoint.make({
        name: "redis",
        server: { address: "redis.example.com", port: 6379, transport: "tcp" },
        connect: () => Effect.never
      }).pipe(Endpoint.map((_: never) => "mapped"))
      const service = yield* ClientService.make({ endpoint, name: "labelled" }).pipe(
        Effect.provide(Telemetry.layer),
        Effect.tagMetrics("shard", "7")
      )
      yield* service.start
      yield* settle
      yield* service.stop
      const snapshot = yield* Metric.snapshot
      const tags = snapshot.map(({ metricKey }) => metricKey.tags.map(({ key, value }) => `${key}=${value}`))
      expect(tags).toContainEqual([
        "shard=7",
        "client_service.name=labelled",
        "server.address=redis.example.com",
        "server.port=6379",
        "network.transport=tcp",
        "outcome=interrupted"
      ])
    })
  )

  it.scoped("know errors by their class, and by a reason that is a word", () =>
    Effect.gen(function* () {
      class Refused extends Error {
        readonly _tag = "Refused"
        constructor(readonly reason: string) {
          super("password=hunter2")
        }
      }
      class NotWelcome extends Error {}
      class Banned {
        constructor(readonly name: string) {}
      }
      const failures = [
        new Refused("Timeout"),
        new Refused("the password hunter2 is wrong"),
        new TypeError("hunter2"),
        "hunter2",
        { _tag: "hunter2 is wrong" },
        new NotWelcome(),
        new Banned("alice"),
        // What is no error has a name of its own, and no class.
        { name: "alice", id: 7 },
        { name: "alice", constructor: { name: "alice" } },
        Object.assign(new Error("no"), { name: "alice@example.com" }),
        Object.assign(new Error("no"), { name: "7-alice" }),
        Object.create(null)
      ]
      const server = yield* TestEndpoint.make<string, unknown>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        name: "errors",
        retryPolicy: second
      }).pipe(Effect.provide(Telemetry.layer))
      yield* service.start
      for (const failure of failures) {
        yield* server.refuse(failure)
        yield* settle
        yield* TestClock.adjust("1 second")
      }
      const metrics = yield* metricsOf("errors")
      expect(Object.entries(metrics).filter(([key]) => key.startsWith("attempts failed"))).toEqual([
        ["attempts failed Refused.Timeout", 1],
        ["attempts failed Refused", 1],
        ["attempts failed TypeError", 1],
        ["attempts failed _OTHER", 7],
        ["attempts failed NotWelcome", 1],
        ["attempts failed Banned", 1]
      ])
      expect(JSON.stringify(yield* Metric.snapshot)).not.toMatch(/hunter2|alice/)
    })
  )

  it.scoped("do not tell errors of a service apart without end", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, { readonly _tag: string }>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, name: "many", retryPolicy: second }).pipe(
        Effect.provide(Telemetry.layer)
      )
      yield* service.start
      for (let i = 0; i < 60; i++) {
        yield* server.refuse({ _tag: `Error${i}` })
        yield* settle
        yield* TestClock.adjust("1 second")
      }
      const metrics = yield* metricsOf("many")
      expect(Object.keys(metrics).filter((key) => key.startsWith("attempts failed"))).toHaveLength(51)
      expect(metrics["attempts failed _OTHER"]).toBe(10)
    })
  )

  it.scoped("are not there where nothing measures", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, name: "unmeasured" })
      yield* service.start
      yield* server.accept("first")
      yield* service.use(Effect.succeed)
      yield* service.stop
      expect(yield* metricsOf("unmeasured")).toEqual({})
    })
  )
})

describe("the metrics of many services", () => {
  const endpointOf = (key: number) =>
    Endpoint.make({
      name: `shard ${key}`,
      server: { address: `shard-${key}.example.com`, port: 5432, transport: "tcp" },
      connect: () => Effect.succeed(key)
    })

  const serve = (
    make: (key: number) => Effect.Effect<ClientService.ClientService<number>, never, Scope.Scope>,
    keys: number,
    metricsByKey?: boolean
  ) =>
    Effect.gen(function* () {
      const map = yield* ClientServiceMap.make({ lookup: make, metricsByKey })
      const before = (yield* Metric.snapshot).length
      yield* Effect.forEach(
        Array.from({ length: keys }, (_, key) => key),
        (key) => Effect.scoped(Effect.flatMap(map.get(key), (service) => service.whenConnected())),
        { concurrency: 100, discard: true }
      )
      return (yield* Metric.snapshot).length - before
    }).pipe(Effect.provide(Telemetry.layer))

  it.scoped(
    "of a ClientServiceMap are counted together",
    () =>
      Effect.gen(function* () {
        const series = yield* serve(
          (key) => ClientService.make({ endpoint: endpointOf(key), name: `named ${key}` }),
          1_000
        )
        expect(series).toBeLessThan(50)
      }).pipe(Effect.tagMetrics("map", "together")),
    120_000
  )

  it.scoped("of two maps are told apart by their names", () =>
    Effect.gen(function* () {
      const make = (name: string, metricsByKey?: boolean) =>
        Effect.gen(function* () {
          const map = yield* ClientServiceMap.make({
            lookup: (key: number) => ClientService.make({ endpoint: endpointOf(key), name: `${name} ${key}` }),
            name,
            metricsByKey
          })
          for (const key of [1, 2]) yield* Effect.flatMap(map.get(key), (service) => service.whenConnected())
        })
      yield* make("prices")
      yield* make("orders")
      yield* make("users", true)
      for (const name of ["prices", "orders"]) {
        const together = yield* metricsWith("client_service.map.name", name)
        expect(together).toMatchObject({ "attempts succeeded": 2, "status connected": 2 })
        expect(yield* metricsOf(`${name} 1`)).toEqual({})
      }
      expect(yield* metricsOf("users 1")).toMatchObject({ "attempts succeeded": 1 })
      expect(yield* metricsWith("client_service.map.name", "users")).toMatchObject({ "attempts succeeded": 1 })
      expect(() => ClientServiceMap.make({ lookup: () => Effect.never, name: " " })).toThrow("name must be")
    }).pipe(Effect.provide(Telemetry.layer))
  )

  it.scoped(
    "are told apart where that is asked for, but not without end",
    () =>
      Effect.gen(function* () {
        yield* serve((key) => ClientService.make({ endpoint: endpointOf(key) }), 1100, true)
        expect(yield* metricsWith("server.address", "shard-3.example.com")).toMatchObject({ "attempts succeeded": 1 })
        const over = yield* metricsWith("otel.metric.overflow", "true")
        expect(Number(over["attempts succeeded"])).toBeGreaterThanOrEqual(100)
        expect(yield* metricsWith("server.address", "shard-1099.example.com")).toEqual({})
        yield* makeService("late")
        expect(yield* metricsOf("late")).toEqual({})
      }),
    120_000
  )
})
