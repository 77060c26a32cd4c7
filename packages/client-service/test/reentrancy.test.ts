import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

describe("a stop that is called while the loss of the connection is being told", () => {
  it.scoped("completes", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond })
      yield* service.start
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      let stop: Fiber.RuntimeFiber<void> | undefined
      yield* Effect.fork(
        service.usePromise(
          (_, signal) =>
            new Promise<void>(() => {
              signal.addEventListener("abort", () => {
                stop = Effect.runFork(service.stop)
              })
            })
        )
      )
      yield* settle
      yield* connection.drop()
      yield* settle
      expect(stop?.unsafePoll()).not.toBeNull()
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )
})

describe("a stop and a start that a subscription calls when it has only begun", () => {
  it.scoped("end its stream, which does not keep the next attempt waiting", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, drainTimeout: "1 minute" })
      yield* service.start
      const connection = yield* server.accept("first")
      yield* awaitState(service, "Connected")
      const stream = ClientService.stream(service, () => {
        // Not by the fiber of the subscription, which may hear of the stop before it calls start.
        Effect.runFork(service.stop)
        Effect.runFork(service.start)
        return Stream.never
      })
      const streaming = yield* Effect.fork(Effect.flip(Stream.runDrain(stream)))
      yield* settle
      expect(yield* connection.closed).toBe(true)
      expect(yield* server.attempts).toBe(2)
      expect(yield* Fiber.join(streaming)).toMatchObject({ _tag: "ServiceStopped" })
    })
  )
})

describe("a start that is called by a finalizer", () => {
  it.scoped("does not have the stop return before the connection is closed", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      let start: Effect.Effect<void> = Effect.void
      const service = yield* ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond })
      start = service.start
      yield* service.start
      const connection = yield* server.accept("first", {
        close: Effect.zipRight(
          Effect.suspend(() => start),
          Effect.sleep("1 second")
        )
      })
      yield* awaitState(service, "Connected")
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Restarting")
      expect(stop.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stop)
      expect(yield* connection.closed).toBe(true)
    })
  )
})

describe("a policy", () => {
  it.scoped("begins afresh after a long connection, though it was not asked about the first failure since", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: Schedule.spaced("1 second").pipe(Schedule.upTo("1 minute"))
      })
      yield* service.start
      yield* server.refuse("refused")
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("1 day")
      yield* service.reconnect
      // One that fails, and is told to connect again while it is still closing.
      yield* server.script((_, open) =>
        Effect.zipRight(open({ close: Effect.sleep("1 second") }), Effect.fail("failed"))
      )
      yield* settle
      yield* service.reconnect
      yield* TestClock.adjust("1 second")
      yield* server.refuse("refused")
      yield* settle
      expect(yield* service.state.get).toMatchObject({ _tag: "Waiting", failures: 2 })
    })
  )
})

describe("a use within a use", () => {
  it.scoped("may be as deep as anything", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, drainTimeout: "1 minute" })
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      const deep = (levels: number): Effect.Effect<number, unknown> =>
        levels === 0
          ? Effect.succeed(0)
          : service.use(() =>
              Effect.map(
                Effect.suspend(() => deep(levels - 1)),
                (below) => below + 1
              )
            )
      expect(yield* deep(5000)).toBe(5000)
      yield* service.stop
    })
  )
})
