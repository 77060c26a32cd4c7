import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, TestClock } from "effect"
import {
  ClientService,
  type ConnectionState,
  Endpoint,
  EndpointsFailed,
  RetryPolicy,
  TestEndpoint
} from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

/** Servers by name, the endpoint that fails over between them, and the names in the order of the attempts. */
const makeServers = <const Names extends ReadonlyArray<string>>(...names: Names) =>
  Effect.gen(function* () {
    const tried: Array<string> = []
    const servers: Record<string, TestEndpoint.TestEndpoint<string, string>> = {}
    for (const name of names) servers[name] = yield* TestEndpoint.make<string, string>()
    const server = (name: Names[number]) => servers[name] ?? expect.fail(`no server ${name}`)
    const endpoints = names.map((name: Names[number]) =>
      Endpoint.make({
        name,
        connect: (signal: Endpoint.ConnectionSignal<string>) =>
          Effect.suspend(() => {
            tried.push(name)
            return server(name).endpoint.connect(signal)
          })
      })
    )
    return { endpoint: Endpoint.failover(endpoints), endpoints, server, tried }
  })

/** The failures of a service that waits: which endpoint, and why. */
const reasons = <E>(state: ConnectionState.ConnectionState<string, E | EndpointsFailed.EndpointsFailed<string>>) => {
  const error = state._tag === "Waiting" ? Cause.squash(state.cause) : undefined
  if (!(error instanceof EndpointsFailed.EndpointsFailed)) return expect.fail(`not failed over: ${error}`)
  return error.failures.map(({ cause, endpoint }) => [endpoint, Cause.squash(cause)])
}

describe("failover", () => {
  it.scoped("tries the next endpoint at each attempt, and the first again after a full round", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b", "c")
      const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
      yield* service.start
      for (const name of ["a", "b", "c", "a", "b"] as const) {
        yield* server(name).refuse(`${name} refused`)
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
      }
      expect(tried).toEqual(["a", "b", "c", "a", "b", "c"])
    })
  )

  it.scoped("is named after its endpoints", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* makeServers("a", "b", "c")
      expect(endpoint.name).toBe("a, b, c")
    })
  )

  it.scoped("returns to the first endpoint after a connection that came up", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b", "c")
      const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
      yield* service.start
      yield* server("a").refuse("a refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      const connection = yield* server("b").accept("b")
      yield* awaitState(service, "Connected")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server("a").refuse("a refused again")
      yield* awaitState(service, "Waiting")
      expect(tried).toEqual(["a", "b", "a"])
      expect(reasons(yield* service.state.get)).toEqual([["a", "a refused again"]])
    })
  )

  it.scoped("returns to the first endpoint although the old connection is still closing", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { endpoint, server, tried } = yield* makeServers("a", "b", "c")
      const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond, closeTimeout: 0 })
      yield* service.start
      const connection = yield* server("a").accept("a", { close: Deferred.await(gate) })
      yield* awaitState(service, "Connected")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server("a").refuse("a refused")
      yield* awaitState(service, "Waiting")
      // The close of an old connection must not begin the round anew.
      yield* Deferred.succeed(gate, undefined)
      yield* connection.awaitClosed
      yield* settle
      yield* TestClock.adjust("1 second")
      expect(tried).toEqual(["a", "a", "b"])
    })
  )

  it.scoped("replaces a connection that is too old by one to the first endpoint", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b", "c")
      const service = yield* ClientService.make({
        endpoint,
        retryPolicy: everySecond,
        connectTimeout: Duration.infinity,
        maxAge: "1 hour"
      })
      yield* service.start
      yield* server("a").refuse("a refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server("b").accept("b")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("1 hour")
      yield* server("a").accept("a")
      yield* settle
      expect(yield* service.whenConnected()).toBe("a")
      expect(tried).toEqual(["a", "b", "a"])
    })
  )

  it.scoped("goes on with the round when a connection fails in prepare, and tells that too", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b", "c")
      const service = yield* ClientService.make({
        endpoint,
        prepare: (protocol) => (protocol === "bad" ? Effect.fail("unprepared" as const) : Effect.void),
        retryPolicy: everySecond
      })
      yield* service.start
      yield* server("a").accept("bad")
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ cause: Cause.fail("unprepared") })
      yield* TestClock.adjust("1 second")
      yield* server("b").refuse("b refused")
      yield* awaitState(service, "Waiting")
      expect(reasons(yield* service.state.get)).toEqual([
        ["a", "unprepared"],
        ["b", "b refused"]
      ])
      yield* TestClock.adjust("1 second")
      const connection = yield* server("c").accept("good")
      yield* awaitState(service, "Connected")
      yield* connection.drop()
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      expect(tried).toEqual(["a", "b", "c", "a"])
    })
  )

  it.scoped("goes on with the round although a connection that failed in prepare is still closing", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { endpoint, server, tried } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({
        endpoint,
        prepare: () => Effect.fail("unprepared"),
        retryPolicy: everySecond,
        closeTimeout: 0
      })
      yield* service.start
      yield* server("a").accept("a", { close: Deferred.await(gate) })
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      expect(tried).toEqual(["a", "b"])
      yield* Deferred.succeed(gate, undefined)
    })
  )

  it.scoped("goes on with the round when a connection is lost before it is prepared", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({ endpoint, prepare: () => Effect.never, retryPolicy: everySecond })
      yield* service.start
      const connection = yield* server("a").accept("a")
      yield* connection.drop("a dropped")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server("b").refuse("b refused")
      yield* awaitState(service, "Waiting")
      expect(tried).toEqual(["a", "b"])
      expect(reasons(yield* service.state.get)).toEqual([
        ["a", "a dropped"],
        ["b", "b refused"]
      ])
    })
  )

  it.scoped("leaves an endpoint that does not answer within connectTimeout", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({ endpoint, connectTimeout: "10 seconds", retryPolicy: everySecond })
      yield* service.start
      yield* server("a").script(TestEndpoint.hung)
      yield* TestClock.adjust("11 seconds")
      yield* server("b").refuse("b refused")
      yield* awaitState(service, "Waiting")
      expect(tried).toEqual(["a", "b"])
      expect(reasons(yield* service.state.get)).toMatchObject([
        ["a", { _tag: "ConnectTimeout" }],
        ["b", "b refused"]
      ])
    })
  )

  it.scoped("tells which endpoints of the round have failed and why, of this round alone", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
      yield* service.start
      const seen: Array<unknown> = []
      for (const name of ["a", "b", "a"] as const) {
        yield* server(name).refuse(`${name} refused`)
        yield* awaitState(service, "Waiting")
        seen.push(reasons(yield* service.state.get))
        yield* TestClock.adjust("1 second")
      }
      const a = ["a", "a refused"]
      const b = ["b", "b refused"]
      expect(seen).toEqual([[a], [a, b], [a]])
    })
  )

  it.scoped("says in its message what failed, each in a line's worth", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* makeServers("a", "b", "c")
      yield* server("a").script(TestEndpoint.refused("refused\nand more"))
      yield* server("b").script(TestEndpoint.died(new Error("boom")))
      yield* server("c").script(TestEndpoint.refused("mute"))
      const connect = Effect.scoped(endpoint.connect({ lost: () => {} }))
      yield* Effect.exit(connect)
      yield* Effect.exit(connect)
      const error = yield* Effect.flip(connect)
      expect(error).toMatchObject({
        _tag: "EndpointsFailed",
        message: "a: refused; b: boom; c: mute"
      })
    })
  )

  for (const [how, connect] of [
    ["dies", () => Effect.die("boom")],
    [
      "throws",
      () => {
        throw "boom"
      }
    ]
  ] as const) {
    it.scoped(`keeps the defect of an endpoint that ${how}, and tries the next one`, () =>
      Effect.gen(function* () {
        const { endpoints, server } = yield* makeServers("b")
        const endpoint = Endpoint.failover([Endpoint.make({ name: "a", connect }), ...endpoints])
        const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
        yield* service.start
        yield* awaitState(service, "Waiting")
        expect(yield* service.state.get).toMatchObject({
          cause: { error: { _tag: "EndpointsFailed", failures: [{ endpoint: "a", cause: Cause.die("boom") }] } }
        })
        yield* TestClock.adjust("1 second")
        yield* server("b").accept("b")
        expect(yield* service.whenConnected()).toBe("b")
      })
    )
  }

  it.scoped("passes on the loss of its connection", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
      yield* service.start
      const connection = yield* server("a").accept("a")
      yield* awaitState(service, "Connected")
      yield* connection.drop("a dropped")
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ cause: Cause.fail("a dropped") })
      expect(yield* connection.closed).toBe(true)
    })
  )

  it.scoped("without a service, takes a connection for one that came up, and a failure for none", () =>
    Effect.gen(function* () {
      const { endpoint, server, tried } = yield* makeServers("a", "b")
      const connect = Effect.scoped(endpoint.connect({ lost: () => {} }))
      yield* server("a").script(TestEndpoint.refused("a refused"), TestEndpoint.accepted("a"))
      yield* server("b").script(TestEndpoint.accepted("b"))
      expect(yield* Effect.exit(connect)).toMatchObject({ _tag: "Failure" })
      expect(yield* connect).toBe("b")
      expect(yield* connect).toBe("a")
      expect(tried).toEqual(["a", "b", "a"])
    })
  )

  it.scoped("does not count in a later round what an attempt of an earlier one has failed with", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { endpoint, server } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({
        endpoint,
        prepare: () => Effect.fail("unprepared"),
        retryPolicy: everySecond,
        closeTimeout: 0
      })
      yield* service.start
      yield* server("a").accept("a", { close: Deferred.await(gate) })
      yield* awaitState(service, "Waiting")
      for (const name of ["b", "a", "b"] as const) {
        yield* TestClock.adjust("1 second")
        // By now, the first attempt is over at last.
        if (name === "a") yield* Deferred.succeed(gate, undefined)
        yield* settle
        yield* server(name).refuse(`${name} refused`)
        yield* awaitState(service, "Waiting")
      }
      expect(reasons(yield* service.state.get)).toEqual([
        ["a", "a refused"],
        ["b", "b refused"]
      ])
    })
  )

  it.scoped("keeps a place of its own: two services over one failover share the round, over two they do not", () =>
    Effect.gen(function* () {
      const { endpoint, endpoints, server, tried } = yield* makeServers("a", "b")
      for (const name of ["a", "b"] as const) {
        yield* server(name).script(...Array.from({ length: 4 }, () => TestEndpoint.refused("refused")))
      }
      const startAll = (all: ReadonlyArray<typeof endpoint>) =>
        Effect.gen(function* () {
          tried.length = 0
          for (const endpoint of all) {
            const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
            yield* service.start
            yield* awaitState(service, "Waiting")
          }
          return [...tried]
        })
      expect(yield* Effect.scoped(startAll([endpoint, endpoint]))).toEqual(["a", "b"])
      const own = () => Endpoint.failover(endpoints)
      expect(yield* Effect.scoped(startAll([own(), own()]))).toEqual(["a", "a"])
    })
  )

  it.scoped("counts an attempt that only its loss has ended, as of an endpoint that has nothing else to tell", () =>
    Effect.gen(function* () {
      const { endpoint, server } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({ endpoint, retryPolicy: everySecond })
      yield* server("a").script((signal) =>
        Effect.zipRight(
          Effect.sync(() => signal.lost("a refused")),
          Effect.never
        )
      )
      yield* service.start
      yield* awaitState(service, "Waiting")
      const state = yield* service.state.get
      expect(reasons(state)).toEqual([["a", "a refused"]])
      expect(state._tag === "Waiting" && Cause.squash(state.cause)).toMatchObject({ untried: 1 })
      yield* TestClock.adjust("1 second")
      const b = yield* server("b").accept("b")
      expect(yield* service.whenConnected()).toBe("b")
      yield* b.drop("dropped")
      yield* awaitState(service, "Waiting")
      expect(yield* service.state.get).toMatchObject({ cause: Cause.fail("dropped") })
    })
  )

  it("of no endpoint is refused", () => {
    expect(() => Endpoint.failover([])).toThrow("Endpoint.failover: endpoints must be one endpoint or more, got []")
  })

  it.scoped("fails over between races, and gives what each of them failed with", () =>
    Effect.gen(function* () {
      const { endpoints, server } = yield* makeServers("a", "b")
      const service = yield* ClientService.make({
        endpoint: Endpoint.failover(endpoints.map((endpoint) => Endpoint.happyEyeballs([endpoint]))),
        retryPolicy: everySecond
      })
      yield* service.start
      yield* server("a").refuse("a refused")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* server("b").accept("b")
      expect(yield* service.whenConnected()).toBe("b")
      expect(Exit.isSuccess(yield* Effect.exit(service.stop))).toBe(true)
    })
  )
})
