import { HttpApp, HttpRouter } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Effect, Fiber, Layer, Option, Schedule, Stream, TestClock } from "effect"
import {
  ClientService,
  ClientServiceMap,
  ClientServices,
  Endpoint,
  RetryPolicy,
  Telemetry,
  TestEndpoint
} from "effect-client-service"
import * as Health from "effect-client-service/Health"
import { awaitState, settle } from "./support/fixture.js"
import { metricsWith } from "./support/metrics.js"

const secret = "hunter2"

class Refused extends Error {
  readonly _tag = "Refused"
  readonly reason = "Authentication"
  constructor() {
    super(`postgres://alice:${secret}@db.example.com refused the password ${secret}`)
  }
}

const make = (name: string) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, Refused>()
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      name,
      retryPolicy: Schedule.spaced("1 second")
    })
    return { server, service }
  })

const namesOf = Effect.map(ClientServices.all.get, (services) => services.map(({ name }) => name))

/** Asks the routes, and gives the status and the body of the answer. */
const ask = (path: string) =>
  Effect.flatMap(Effect.runtime<ClientServices.ClientServices>(), (runtime) =>
    Effect.promise(async () => {
      const app = HttpRouter.empty.pipe(HttpRouter.concat(Health.routes))
      const answer = await HttpApp.toWebHandlerRuntime(runtime)(app)(new Request(`http://localhost${path}`))
      return { status: answer.status, type: answer.headers.get("content-type"), text: await answer.text() }
    })
  )

describe("ClientServices", () => {
  it.scoped("lists each service that is made under the Layer, until it is gone", () =>
    Effect.gen(function* () {
      yield* make("outside")
      yield* Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* make("one")
            yield* make("two")
            expect(yield* namesOf).toEqual(["one", "two"])
          })
        )
        expect(yield* namesOf).toEqual([])
      }).pipe(Effect.provide(ClientServices.layer))
    })
  )

  it.effect("lists those of Layers and of a ClientServiceMap too", () =>
    Effect.gen(function* () {
      class Peer extends ClientService.Tag("test/Peer")<Peer, string>() {}
      class Shards extends Context.Tag("test/Shards")<Shards, ClientServiceMap.ClientServiceMap<number, string>>() {}
      const endpointOf = (name: string) => Endpoint.make({ name, connect: () => Effect.succeed(name) })
      const ShardsLive = Layer.scoped(
        Shards,
        ClientServiceMap.make({ lookup: (key: number) => ClientService.make({ endpoint: endpointOf(`shard ${key}`) }) })
      )
      const program = Effect.gen(function* () {
        yield* Effect.scoped(Effect.flatMap(Shards, (shards) => Effect.zipRight(shards.get(7), namesOf))).pipe(
          Effect.map((names) => expect(names).toEqual(["peer", "shard 7"]))
        )
        yield* settle
        return yield* namesOf
      })
      const AppLive = Layer.merge(Peer.layer({ endpoint: endpointOf("peer") }), ShardsLive)
      expect(yield* Effect.provide(program, Layer.provideMerge(AppLive, ClientServices.layer))).toEqual(["peer"])
    })
  )

  it.scoped("leaves out what is excluded, or what is not included", () =>
    Effect.gen(function* () {
      class Peer extends ClientService.Tag("test/Peer")<Peer, string>() {}
      const endpoint = Endpoint.make({ name: "layer", connect: () => Effect.succeed("") })
      const some = (
        wrap: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
        layer: Layer.Layer<Peer>
      ) =>
        Effect.gen(function* () {
          yield* make("plain")
          yield* wrap(make("wrapped"))
          return yield* Effect.provide(namesOf, Layer.merge(Layer.context<ClientServices.ClientServices>(), layer))
        })
      const PeerLive = Peer.layer({ endpoint })
      expect(
        yield* some(ClientServices.exclude, ClientServices.exclude(PeerLive)).pipe(
          Effect.provide(ClientServices.layer),
          Effect.scoped
        )
      ).toEqual(["plain"])
      expect(
        yield* some(ClientServices.include, ClientServices.include(PeerLive)).pipe(
          Effect.provide(ClientServices.layerWith({ list: "included" })),
          Effect.scoped
        )
      ).toEqual(["wrapped", "layer"])
    })
  )

  it.scoped("tells at each change what every service has done, the last 100 states of it", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make("one")
      const states: Array<string> = []
      yield* Effect.fork(
        Stream.runForEach(ClientServices.all.changes, (services) =>
          Effect.sync(() => states.push(services.map(({ current }) => current.state).join()))
        )
      )
      yield* settle
      yield* service.start
      yield* settle
      yield* server.refuse(new Refused())
      yield* settle
      expect(states).toEqual(["Init", "Connecting", "Waiting"])
      const [before] = yield* ClientServices.all.get
      expect(before).toMatchObject({
        name: "one",
        hasConnected: false,
        current: { state: "Waiting", at: 0, attempt: 1, failures: 1, retryAt: 1000, cause: "Refused.Authentication" },
        transitions: [{ state: "Init" }, { state: "Connecting" }, { state: "Waiting" }]
      })
      for (let i = 0; i < 60; i++) {
        yield* TestClock.adjust("1 second")
        yield* server.refuse(new Refused())
        yield* settle
      }
      const [after] = yield* ClientServices.all.get
      expect(after?.transitions).toHaveLength(100)
      expect(after?.transitions.map(({ at }) => at)).toEqual(
        [...(after?.transitions ?? [])].map(({ at }) => at).sort((one, other) => one - other)
      )
      expect(after?.current).toMatchObject({ state: "Waiting", at: 60_000, failures: 61 })
      // What was given does not change.
      expect(before?.transitions).toHaveLength(3)
      yield* server.accept("first").pipe(Effect.zipLeft(TestClock.adjust("1 second"), { concurrent: true }))
      yield* awaitState(service, "Connected")
      expect((yield* ClientServices.all.get)[0]).toMatchObject({ hasConnected: true, current: { generation: 1 } })
    }).pipe(Effect.provide(ClientServices.layer))
  )

  it.scoped(
    "counts who waits, who uses the connection, and the gaps of streams, beside what measures the service",
    () =>
      Effect.gen(function* () {
        const { server, service } = yield* make("one")
        const counts = Effect.flatMap(ClientServices.all.get, ([listed]) => listed?.counts ?? Effect.void)
        const measured = (metric: string) => Effect.map(metricsWith("test", "counts"), (values) => values[metric])
        yield* service.start
        const waiter = yield* Effect.fork(service.whenConnected())
        yield* Effect.fork(service.whenConnected({ failAfterFailures: 3 }))
        yield* settle
        expect(yield* counts).toEqual({ waiters: 2, uses: 0, gaps: 0 })
        expect(yield* measured("waiters")).toBe(2)
        yield* Fiber.interrupt(waiter)
        expect(yield* counts).toEqual({ waiters: 1, uses: 0, gaps: 0 })

        const first = yield* server.accept("first")
        yield* awaitState(service, "Connected")
        yield* Effect.fork(service.use(() => Effect.never))
        const values = ClientService.stream(service, (protocol) => Stream.concat(Stream.make(protocol), Stream.never), {
          gap: () => "gap"
        })
        yield* Effect.fork(Stream.runDrain(values))
        yield* settle
        // The stream uses the connection, and waits for the next.
        expect(yield* counts).toEqual({ waiters: 1, uses: 2, gaps: 0 })
        expect(yield* measured("uses")).toBe(2)
        yield* first.drop()
        yield* TestClock.adjust("1 second")
        yield* server.accept("second")
        yield* settle
        expect(yield* counts).toEqual({ waiters: 1, uses: 1, gaps: 1 })
        expect(yield* measured("gaps")).toBe(1)
      }).pipe(Effect.provide(Layer.merge(ClientServices.layer, Telemetry.layer)), Effect.tagMetrics("test", "counts"))
  )

  it.scoped("checks the connection of those that have a heartbeat", () =>
    Effect.gen(function* () {
      const { endpoint, ...server } = yield* TestEndpoint.make<string>()
      yield* ClientService.make({ endpoint, name: "without" })
      const service = yield* ClientService.make({
        endpoint,
        name: "with",
        heartbeat: { probe: () => Effect.void, interval: "1 hour", timeout: "1 second" }
      })
      const checks = Effect.map(ClientServices.all.get, (services) => services.map(({ check }) => check))
      expect((yield* checks).map(Option.isSome)).toEqual([false, true])
      const check = Effect.flatMap(
        Effect.flatMap(checks, ([, check]) => check ?? Option.none()),
        (check) => check
      )
      expect(yield* check).toBe(false)
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      expect(yield* check).toBe(true)
    }).pipe(Effect.provide(ClientServices.layer))
  )

  it.scoped("can have services begin anew", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make("one")
      yield* service.start
      yield* server.refuse(new Refused())
      yield* awaitState(service, "Waiting")
      const [listed] = yield* ClientServices.all.get
      yield* listed?.service.reconnect ?? Effect.void
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
    }).pipe(Effect.provide(ClientServices.layer))
  )

  it.scoped("tells the words of errors only to who asks for them", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make("one")
      yield* service.start
      yield* server.refuse(new Refused())
      yield* awaitState(service, "Waiting")
      expect(JSON.stringify(yield* ClientServices.all.get)).toContain(secret)
    }).pipe(Effect.provide(ClientServices.layerWith({ describe: Cause.pretty })))
  )
})

describe("Health", () => {
  it.scoped("is ready while every service has a connection, has started once each had one, and is alive", () =>
    Effect.gen(function* () {
      const one = yield* make("one")
      const two = yield* make("two")
      const statuses = Effect.map(
        Effect.all([ask("/health/started"), ask("/health/ready"), ask("/health/live")]),
        (answers) => answers.map(({ status }) => status)
      )
      yield* one.service.start
      yield* two.service.start
      expect(yield* statuses).toEqual([503, 503, 200])
      const connection = yield* one.server.accept("first")
      yield* awaitState(one.service, "Connected")
      expect(yield* statuses).toEqual([503, 503, 200])
      yield* two.server.accept("first")
      yield* awaitState(two.service, "Connected")
      expect(yield* statuses).toEqual([200, 200, 200])
      yield* connection.drop()
      yield* awaitState(one.service, "Waiting")
      expect(yield* statuses).toEqual([200, 503, 200])
      yield* one.service.stop
      expect(yield* statuses).toEqual([200, 503, 200])
    }).pipe(Effect.provide(Health.layer))
  )

  it.scoped("has started for good, though services are made and go later", () =>
    Effect.gen(function* () {
      const started = Effect.map(ask("/health/started"), ({ status, text }) => ({
        status,
        checks: JSON.parse(text).checks.map(({ name, status }: Health.Check) => `${name} ${status}`)
      }))
      // Nobody has started yet who has nothing to tell of.
      expect(yield* started).toEqual({ status: 200, checks: [] })
      const first = yield* make("first")
      yield* first.service.start
      expect(yield* started).toEqual({ status: 503, checks: ["first DOWN"] })
      yield* first.server.up("up")
      yield* awaitState(first.service, "Connected")
      expect(yield* started).toEqual({ status: 200, checks: ["first UP"] })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const late = yield* make("late")
          yield* late.service.start
          expect(yield* started).toEqual({ status: 200, checks: ["first UP"] })
          expect((yield* Health.ready).status).toBe("DOWN")
          yield* late.server.up("up")
          yield* awaitState(late.service, "Connected")
          expect(yield* started).toEqual({ status: 200, checks: ["first UP", "late UP"] })
        })
      )
      expect(yield* started).toEqual({ status: 200, checks: ["first UP"] })
    }).pipe(Effect.provide(Health.layer))
  )

  it.scoped("answers in the format of MicroProfile, without the words of errors", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 5))
      const { server, service } = yield* make("db")
      yield* service.start
      yield* server.refuse(new Refused())
      yield* awaitState(service, "Waiting")
      const { status, text, type } = yield* ask("/health/ready")
      expect(text).not.toContain(secret)
      expect(status).toBe(503)
      expect(type).toContain("application/json")
      expect(JSON.parse(text)).toEqual({
        status: "DOWN",
        checks: [
          {
            name: "db",
            status: "DOWN",
            data: {
              state: "Waiting",
              since: "2026-01-05T00:00:00.000Z",
              attempt: 1,
              failures: 1,
              nextAttempt: "2026-01-05T00:00:01.000Z",
              lastCause: "Refused.Authentication"
            }
          }
        ]
      })
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      expect(JSON.parse((yield* ask("/health/ready")).text)).toEqual({
        status: "UP",
        checks: [
          {
            name: "db",
            status: "UP",
            data: {
              state: "Connected",
              since: "2026-01-05T00:00:01.000Z",
              attempt: 2,
              failures: 1,
              lastCause: "Refused.Authentication"
            }
          }
        ]
      })
      expect(JSON.parse((yield* ask("/health/live")).text)).toEqual({ status: "UP", checks: [] })
    }).pipe(Effect.provide(Health.layer))
  )

  it.scoped("speaks as gRPC's health protocol does, of one service and of all", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make("db")
      yield* ClientServices.exclude(make("idle"))
      const seen: Array<string> = []
      const watching = yield* Effect.fork(
        Stream.runForEach(Health.watch("db"), (status) => Effect.sync(() => seen.push(status)))
      )
      yield* settle
      const serving = Effect.all([Health.serving(""), Health.serving("db"), Health.serving("idle")])
      yield* service.start
      expect(yield* serving).toEqual(["NOT_SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"])
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* settle
      expect(yield* serving).toEqual(["SERVING", "SERVING", "SERVICE_UNKNOWN"])
      yield* service.stop
      yield* settle
      expect(seen).toEqual(["NOT_SERVING", "SERVING", "NOT_SERVING"])
      yield* Fiber.interrupt(watching)
    }).pipe(Effect.provide(Health.layer))
  )
})

describe("a service with an odd failure", () => {
  const hostile = {
    get _tag(): string {
      throw new Error("do not look")
    }
  }

  it.scoped("goes on, and tells nothing of an error that throws when it is looked at", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, typeof hostile>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: Schedule.spaced("1 second") })
      yield* service.start
      yield* server.refuse(hostile)
      yield* settle
      expect((yield* Health.ready).checks[0]?.data).toMatchObject({ state: "Waiting", lastCause: "_OTHER" })
      yield* TestClock.adjust("1 second")
      yield* server.accept("one")
      yield* settle
      expect((yield* Health.ready).status).toBe("UP")
    }).pipe(
      Effect.provide(
        ClientServices.layerWith({
          describe: () => {
            throw new Error("no words")
          }
        })
      ),
      Effect.provide(Telemetry.layer)
    )
  )

  it.scoped("is told of too if its next attempt is later than dates go", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.fromFunction(() => 1e16)
      })
      yield* service.start
      yield* server.refuse("no")
      yield* settle
      expect((yield* Health.ready).checks[0]?.data.nextAttempt).toBe("+275760-09-13T00:00:00.000Z")
    }).pipe(Effect.provide(Health.layer))
  )
})
