import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"

describe("a policy", () => {
  // Kind 4
  it.scoped("whose release takes its time is waited for by the owner Scope, for closeTimeout at most", () =>
    Effect.gen(function* () {
      for (const [release, waits] of [
        ["1 second", 1000],
        ["1 hour", 5000]
      ] as const) {
        const released = { isReleased: false }
        const server = yield* TestEndpoint.make<string, string>()
        const scope = yield* Scope.make()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          closeTimeout: "5 seconds",
          retryPolicy: RetryPolicy.whileError(
            RetryPolicy.fromFunction(() => 0),
            () =>
              Effect.as(Effect.never, true).pipe(
                Effect.onInterrupt(() =>
                  Effect.map(Effect.sleep(release), () => {
                    released.isReleased = true
                  })
                )
              )
          )
        }).pipe(Scope.extend(scope))
        yield* service.start
        yield* server.refuse("refused")
        yield* settle
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust(waits - 1)
        yield* settle
        expect(closing.unsafePoll()).toBeNull()
        yield* TestClock.adjust(1)
        yield* Fiber.join(closing)
        expect(released.isReleased).toBe(waits === 1000)
        expect((yield* service.state.get)._tag).toBe("Stopped")
      }
    })
  )

  // Kind 4
  it.scoped("that closes the owner Scope does not wait for itself", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const scope = yield* Scope.make()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.whileError(
          RetryPolicy.fromFunction(() => 0),
          () => Effect.as(Scope.close(scope, Exit.void), true)
        )
      }).pipe(Scope.extend(scope))
      yield* service.start
      yield* server.refuse("refused")
      yield* Effect.repeatN(settle, 3)
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )
})

describe("a clock that throws", () => {
  for (const which of ["unsafeCurrentTimeMillis", "unsafeCurrentTimeNanos"] as const) {
    // Kind 6
    it.scoped(`once, of ${which}, leaves no service that stands still`, () =>
      Effect.gen(function* () {
        const inner = yield* Effect.clock
        for (let at = 0; at < 20; at++) {
          let calls = 0
          const outOfOrder = { isUp: false }
          const tell = <A>(f: () => A): A => {
            if (outOfOrder.isUp && calls++ === at) throw new Error("the clock is out of order")
            return f()
          }
          const clock: Clock.Clock = {
            [Clock.ClockTypeId]: Clock.ClockTypeId,
            unsafeCurrentTimeMillis: () =>
              which === "unsafeCurrentTimeMillis"
                ? tell(() => inner.unsafeCurrentTimeMillis())
                : inner.unsafeCurrentTimeMillis(),
            unsafeCurrentTimeNanos: () =>
              which === "unsafeCurrentTimeNanos"
                ? tell(() => inner.unsafeCurrentTimeNanos())
                : inner.unsafeCurrentTimeNanos(),
            currentTimeMillis: inner.currentTimeMillis,
            currentTimeNanos: inner.currentTimeNanos,
            sleep: (duration) => inner.sleep(duration)
          }
          const signals: Array<Endpoint.ConnectionSignal<string>> = []
          const service = yield* Effect.withClock(
            ClientService.make({
              endpoint: Endpoint.make({
                name: "test",
                connect: (signal: Endpoint.ConnectionSignal<string>) =>
                  signals.push(signal) % 2 === 0 ? Effect.fail("refused") : Effect.succeed("protocol")
              }),
              heartbeat: { probe: () => Effect.void, interval: "1 second", timeout: "1 second" },
              retryPolicy: RetryPolicy.fromFunction(() => "1 second")
            }),
            clock
          )
          outOfOrder.isUp = true
          yield* service.start
          yield* awaitState(service, "Connected")
          yield* TestClock.adjust("10 seconds")
          signals.at(-1)?.lost("lost")
          for (let i = 0; i < 4; i++) yield* Effect.zipRight(TestClock.adjust("1 second"), settle)
          expect((yield* service.state.get)._tag, `call ${at}`).toBe("Connected")
          yield* service.stop
        }
      })
    )
  }
})
