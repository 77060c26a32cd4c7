import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Scope, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"

/** Tells of its loss, and goes on to connect in a region where nothing interrupts it. */
const stubborn = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  const open = { count: 0 }
  const acquired = { count: 0 }
  const endpoint = Endpoint.make({
    name: "stubborn",
    connect: (signal: Endpoint.ConnectionSignal<string>) =>
      Effect.gen(function* () {
        yield* Effect.acquireRelease(
          Effect.sync(() => (acquired.count += 1)),
          () => Effect.sync(() => (acquired.count -= 1))
        )
        signal.lost("refused")
        return yield* Effect.acquireRelease(
          Effect.as(Deferred.await(gate), "late").pipe(Effect.tap(() => Effect.sync(() => (open.count += 1)))),
          () => Effect.sync(() => (open.count -= 1))
        )
      })
  })
  return { acquired, endpoint, gate, open }
})

const good = Endpoint.make({ name: "good", connect: () => Effect.succeed("connected") })

describe("an endpoint that has told of its loss, and whose connect can't be interrupted", () => {
  // Kind 3
  it.scoped("is not waited for by failover until connectTimeout", () =>
    Effect.gen(function* () {
      const { acquired, endpoint, gate, open } = yield* stubborn
      const service = yield* ClientService.make({
        endpoint: Endpoint.failover([endpoint, good]),
        retryPolicy: RetryPolicy.fromFunction(() => 0),
        connectTimeout: "1 hour",
        closeTimeout: "5 seconds"
      })
      yield* service.start
      const waiting = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
      yield* settle
      expect(waiting.unsafePoll()).not.toBeNull()
      expect(`${yield* Fiber.join(waiting)}`).toContain("refused")
      // What it had acquired is closed, and the rest is waited for no longer than any other close.
      expect(acquired.count).toBe(0)
      expect((yield* service.state.get)._tag).toBe("Connecting")
      yield* TestClock.adjust("5 seconds")
      yield* awaitState(service, "Connected")
      expect(yield* service.whenConnected()).toBe("connected")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect(open.count).toBe(0)
      expect(yield* service.whenConnected()).toBe("connected")
    })
  )

  // Kind 3
  it.scoped("is not waited for by happyEyeballs before the next begins", () =>
    Effect.gen(function* () {
      const { acquired, endpoint, gate, open } = yield* stubborn
      const scope = yield* Scope.make()
      const connecting = yield* Effect.fork(
        Scope.extend(Endpoint.happyEyeballs([endpoint, good], { delay: "1 hour" }).connect({ lost: () => {} }), scope)
      )
      yield* settle
      expect(connecting.unsafePoll()).toMatchObject({ _tag: "Success", value: "connected" })
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      expect([acquired.count, open.count]).toEqual([0, 0])
    })
  )

  // Kind 3
  it.scoped("ends with the Scope that it connects in, where there is no service", () =>
    Effect.gen(function* () {
      const { endpoint, gate, open } = yield* stubborn
      const connecting = yield* Effect.fork(
        Effect.scoped(Effect.flip(Endpoint.failover([endpoint]).connect({ lost: () => {} })))
      )
      yield* settle
      expect(connecting.unsafePoll()).toBeNull()
      yield* Deferred.succeed(gate, undefined)
      expect(`${yield* Fiber.join(connecting)}`).toContain("refused")
      expect(open.count).toBe(0)
    })
  )

  // Kind 10
  it.scoped("tells how it was lost, be it without an error", () =>
    Effect.gen(function* () {
      for (const detail of ["the peer said goodbye", undefined]) {
        const lost = Endpoint.make({
          name: "lost",
          connect: (signal: Endpoint.ConnectionSignal<never>) => {
            signal.lost(undefined, detail)
            return Effect.never
          }
        })
        const message = `ConnectionLost: lost: the connection was lost${detail === undefined ? "" : `: ${detail}`}`
        for (const combined of [Endpoint.failover([lost]), Endpoint.happyEyeballs([lost])]) {
          const error = yield* Effect.flip(Effect.scoped(combined.connect({ lost: () => {} })))
          expect(error.message).toBe(`lost: ${message}`)
          const service = yield* ClientService.make({ endpoint: combined })
          yield* service.start
          expect(yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({
            _tag: "EndpointsFailed",
            message: `lost: ${message}`
          })
        }
      }
    })
  )

  // Kind 11
  it.scoped("is told when it waits for its own connection", () =>
    Effect.gen(function* () {
      for (const combine of [
        (endpoint: typeof good) => Endpoint.failover([endpoint]),
        (endpoint: typeof good) => Endpoint.happyEyeballs([endpoint])
      ]) {
        const self = yield* Deferred.make<ClientService.ClientService<string, unknown>>()
        const waits = Endpoint.make({
          name: "waits",
          connect: () => Effect.orDie(Effect.flatMap(Deferred.await(self), (service) => service.whenConnected()))
        })
        const service = yield* ClientService.make({
          endpoint: combine(waits),
          retryPolicy: RetryPolicy.fromFunction(() => "1 second")
        })
        yield* Deferred.succeed(self, service)
        yield* service.start
        yield* settle
        const { _tag, ...state } = yield* service.state.get
        expect([_tag, JSON.stringify(state)]).toEqual([
          "Waiting",
          expect.stringContaining("an attempt to connect waits for its own connection")
        ])
      }
    })
  )
})
