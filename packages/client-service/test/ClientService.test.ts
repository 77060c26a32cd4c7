import { describe, expect, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"

describe("ClientService", () => {
  it.scoped("connects, notices a loss, and connects again", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        retryPolicy: RetryPolicy.fromFunction(() => 1000)
      })
      yield* service.start
      expect((yield* service.state.get)._tag).toBe("Connecting")
      yield* server.refuse("no")
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      expect((yield* service.state.get)._tag).toBe("Waiting")
      yield* TestClock.adjust(1000)
      const c = yield* server.accept("one")
      expect(yield* service.whenConnected()).toBe("one")
      yield* c.drop()
      yield* c.awaitClosed
      expect((yield* service.state.get)._tag).toBe("Waiting")
      yield* TestClock.adjust(1000)
      yield* server.accept("two")
      expect(yield* service.whenConnected()).toBe("two")
      yield* service.stop
      expect((yield* service.state.get)._tag).toBe("Stopped")
      expect(yield* server.closes).toBe(2)
    })
  )
})
