import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

const make = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const service = yield* ClientService.make({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "1 minute")
  })
  return { server, service }
})

const uses = {
  use: (service: ClientService.ClientService<string, string>, maxWait: number) =>
    service.use((protocol) => Effect.delay(Effect.succeed(protocol), "1 hour"), { maxWait }),
  usePromise: (service: ClientService.ClientService<string, string>, maxWait: number) =>
    service.usePromise(async (protocol) => protocol, { maxWait }),
  useAsync: (service: ClientService.ClientService<string, string>, maxWait: number) =>
    service.useAsync<string>(
      (protocol, resume) => {
        resume(Effect.succeed(protocol))
      },
      { maxWait }
    )
}

for (const name of ["use", "usePromise", "useAsync"] as const) {
  describe(`${name} with maxWait`, () => {
    it.scoped("fails with NotConnected when that has passed, and says what the service is doing", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { server, service } = yield* make
          yield* service.start
          yield* server.refuse("refused")
          yield* awaitState(service, "Waiting")
          const before = timers.pending()
          const use = yield* Effect.fork(uses[name](service, 2000))
          yield* TestClock.adjust("1999 millis")
          expect(use.unsafePoll()).toBeNull()
          yield* TestClock.adjust("1 millis")
          const error = yield* Effect.flip(Fiber.join(use))
          expect(error).toMatchObject({
            _tag: "NotConnected",
            service: "test",
            state: { _tag: "Waiting", failures: 1 }
          })
          expect(String(error)).toContain(
            "test: no connection within 2s: waiting to try again after 1 failure: refused"
          )
          expect(timers.pending()).toBe(before)
        })
      )
    )

    it.scoped("of 0 fails at once", () =>
      Effect.gen(function* () {
        const { service } = yield* make
        yield* service.start
        expect(yield* Effect.flip(uses[name](service, 0))).toMatchObject({
          _tag: "NotConnected",
          state: { _tag: "Connecting" }
        })
      })
    )

    it.scoped("interrupted, leaves no timer", () =>
      withTimers((timers) =>
        Effect.gen(function* () {
          const { service } = yield* make
          const use = yield* Effect.fork(uses[name](service, 2000))
          yield* settle
          expect(timers.pending()).toBe(1)
          yield* Fiber.interrupt(use)
          yield* settle
          expect(timers.pending()).toBe(0)
        })
      )
    )

    it.scoped("is refused if it is no duration", () =>
      Effect.gen(function* () {
        const { service } = yield* make
        expect(() => uses[name](service, -1)).toThrow(`${name}: maxWait must be a duration of zero or more, got -1`)
      })
    )
  })
}

describe("maxWait", () => {
  it.scoped("bounds the wait alone, not what runs then", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make
      yield* service.start
      const use = yield* Effect.fork(uses.use(service, 2000))
      yield* TestClock.adjust("1 second")
      yield* server.accept("first")
      yield* settle
      yield* TestClock.adjust("1 hour")
      expect(yield* Fiber.join(use)).toBe("first")
    })
  )

  it.scoped("counts from the beginning of each run, not from when the Effect was made", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      yield* service.start
      const use = uses.use(service, 2000)
      yield* TestClock.adjust("1 hour")
      const fiber = yield* Effect.fork(use)
      yield* TestClock.adjust("1999 millis")
      expect(fiber.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "NotConnected" })
    })
  )
})
