import { describe, expect, it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Schedule, Stream, TestClock } from "effect"
import { ClientService, Incoming, RetryPolicy, Telemetry, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"
import { withLogs } from "../support/logs.js"
import { metricsOf } from "../support/metrics.js"
import { day, withWallClock } from "../support/wallClock.js"

const make = (options?: {
  readonly name?: string
  readonly connectTimeout?: Duration.DurationInput
  readonly retryPolicy?: RetryPolicy.RetryPolicy<unknown>
}) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const retryPolicy = RetryPolicy.fromFunction(() => "1 second")
    const service = yield* ClientService.make({ retryPolicy, ...options, endpoint: server.endpoint })
    yield* service.start
    return { server, service }
  })

for (const [direction, millis] of [
  ["back", -day],
  ["ahead", day]
] as const) {
  describe(`when somebody sets the clock ${direction} by a day`, () => {
    // Kind 6: Somebody sets the clock, and what is measured by it takes a day, or no time at all.
    it.scoped("an outage is warned of once a minute all the same", () =>
      withWallClock((wallClock) =>
        withLogs((entries) =>
          Effect.gen(function* () {
            const warnings = () => entries.filter(({ level }) => level === "Warning").length
            const { server } = yield* make()
            yield* server.down("refused")
            yield* TestClock.adjust("10 seconds")
            wallClock.ahead = millis
            yield* TestClock.adjust("49 seconds")
            expect(warnings()).toBe(1)
            yield* TestClock.adjust("5 minutes")
            expect(warnings()).toBe(6)
          })
        )
      )
    )

    // Kind 6
    it.scoped("the next attempt comes when it was to come", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          // The clock is set while the policy takes a second to answer, which is a part of the delay.
          const retryPolicy = Schedule.tapInput(
            RetryPolicy.fromFunction(() => "10 seconds"),
            () => Effect.sleep("1 second")
          )
          const { server, service } = yield* make({ retryPolicy })
          yield* server.refuse("refused")
          yield* settle
          wallClock.ahead = millis
          yield* TestClock.adjust("1 second")
          yield* awaitState(service, "Waiting")
          yield* TestClock.adjust("8999 millis")
          expect(yield* server.attempts).toBe(1)
          yield* TestClock.adjust("1 millis")
          expect(yield* server.attempts).toBe(2)
        })
      )
    )

    // Kind 6
    it.scoped("a connection is stable when it has been up for resetAfter, and not before", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          const { server, service } = yield* make()
          yield* server.refuse("refused")
          yield* TestClock.adjust("1 second")
          const young = yield* server.accept("young")
          yield* TestClock.adjust("1 second")
          wallClock.ahead = millis
          yield* young.drop()
          yield* awaitState(service, "Waiting")
          expect(yield* service.state.get).toMatchObject({ failures: 2 })
          wallClock.ahead = 0
          yield* TestClock.adjust("1 second")
          const stable = yield* server.accept("stable")
          yield* TestClock.adjust("5 seconds")
          wallClock.ahead = millis
          yield* stable.drop()
          yield* awaitState(service, "Waiting")
          expect(yield* service.state.get).toMatchObject({ failures: 1 })
        })
      )
    )

    // Kind 6
    it.scoped("an attempt is begun anew when it is a second old, and not before", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          const { server, service } = yield* make()
          yield* TestClock.adjust("500 millis")
          wallClock.ahead = millis
          yield* service.reconnect
          yield* TestClock.adjust("499 millis")
          expect(yield* server.attempts).toBe(1)
          yield* TestClock.adjust("1 millis")
          expect(yield* server.attempts).toBe(2)
        })
      )
    )

    // Kind 6
    it.scoped("an attempt has its connectTimeout, no less and no more", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          const { service } = yield* make({ connectTimeout: "900 millis" })
          yield* TestClock.adjust("500 millis")
          wallClock.ahead = millis
          // It looks again how much is left.
          yield* service.reconnect
          yield* TestClock.adjust("399 millis")
          expect((yield* service.state.get)._tag).toBe("Connecting")
          yield* TestClock.adjust("1 millis")
          expect((yield* service.state.get)._tag).toBe("Waiting")
        })
      )
    )

    // Kind 6
    it.scoped("a close has its closeTimeout, no less and no more", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          const { server, service } = yield* make()
          const connection = yield* server.accept("first", { close: Effect.never })
          yield* awaitState(service, "Connected")
          yield* connection.drop()
          yield* TestClock.adjust("500 millis")
          wallClock.ahead = millis
          const stop = yield* Effect.fork(service.stop)
          yield* TestClock.adjust("4499 millis")
          expect(stop.unsafePoll()).toBeNull()
          yield* TestClock.adjust("1 millis")
          yield* Fiber.join(stop)
        })
      )
    )

    // Kind 6
    it.scoped("a reader has as long as linger says to come back", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          let losses = 0
          const lost = () => {
            losses += 1
          }
          const incoming = yield* Incoming.make({ lost, linger: 1000, capacity: 100 })
          yield* Effect.fork(Stream.runForEach(incoming.stream, () => Effect.sleep("5 seconds")))
          yield* settle
          incoming.offer(new Uint8Array(1))
          yield* TestClock.adjust(1)
          incoming.end()
          yield* TestClock.adjust(500)
          wallClock.ahead = millis
          yield* TestClock.adjust(499)
          expect(losses).toBe(0)
          yield* TestClock.adjust(1)
          expect(losses).toBe(1)
        })
      )
    )

    // Kind 6
    it.scoped("the lifetime of a connection is as long as it was", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          const name = `lifetime, ${direction}`
          const { server, service } = yield* Effect.provide(make({ name }), Telemetry.layer)
          yield* server.accept("first")
          yield* awaitState(service, "Connected")
          yield* TestClock.adjust(500)
          wallClock.ahead = millis
          yield* service.stop
          expect(yield* metricsOf(name)).toMatchObject({ "connection.duration": [1, 0.5] })
        })
      )
    )

    // Kind 6
    it.scoped("what is shown is by the wall clock", () =>
      withWallClock((wallClock) =>
        Effect.gen(function* () {
          wallClock.ahead = millis
          const { server, service } = yield* make()
          const connection = yield* server.accept("first")
          yield* awaitState(service, "Connected")
          expect(yield* service.state.get).toMatchObject({ connectedAt: millis })
          yield* connection.drop()
          yield* awaitState(service, "Waiting")
          expect(yield* service.state.get).toMatchObject({ retryAt: millis + 1000 })
        })
      )
    )
  })
}
