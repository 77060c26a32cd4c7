import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, TestClock } from "effect"
import { ClientService, ConnectionError, Endpoint, RetryPolicy } from "effect-client-service"
import { settle } from "./support/fixture.js"

const hanging = (name: string) => Endpoint.make({ name, connect: () => Effect.never })
const refusing = (name: string) => Endpoint.make({ name, connect: () => Effect.fail(`${name} refused`) })
const answering = (name: string) => Endpoint.make({ name, connect: () => Effect.succeed(name) })

/** The timeout of the `attempt`th attempt, as what it tells of the endpoints, and its message. */
const timeoutOf = (
  endpoint: Endpoint.Endpoint<string, unknown>,
  { attempt = 1, prepare }: { readonly attempt?: number; readonly prepare?: () => Effect.Effect<never> } = {}
) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      name: "db",
      endpoint,
      prepare,
      connectTimeout: "10 seconds",
      retryPolicy: RetryPolicy.fromFunction(() => 0)
    })
    yield* service.start
    const waiting = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: attempt })))
    yield* settle
    yield* TestClock.adjust("10 seconds")
    const error = yield* Fiber.join(waiting)
    if (!(error instanceof ConnectionError.ConnectTimeout)) return expect.fail(String(error))
    const { failures, message, pending } = error
    return { failures: failures?.map(({ cause, endpoint }) => [endpoint, Cause.squash(cause)]), pending, message }
  })

describe("a ConnectTimeout", () => {
  it.scoped("of one endpoint has nothing to tell of others", () =>
    Effect.gen(function* () {
      expect(yield* timeoutOf(hanging("a"))).toEqual({
        failures: undefined,
        pending: undefined,
        message: "db: no connection within 10s: connect had not finished"
      })
    })
  )

  it.scoped("of a race tells which endpoints have failed, and which have not answered", () =>
    Effect.gen(function* () {
      const endpoint = Endpoint.happyEyeballs([refusing("a"), hanging("b"), refusing("c"), hanging("d")])
      expect(yield* timeoutOf(endpoint)).toEqual({
        failures: [
          ["a", "a refused"],
          ["c", "c refused"]
        ],
        pending: ["b", "d"],
        message: "db: no connection within 10s: connect had not finished at b, d; a: a refused; c: c refused"
      })
    })
  )

  it.scoped("of a race that was won tells who has won it", () =>
    Effect.gen(function* () {
      const endpoint = Endpoint.happyEyeballs([hanging("a"), refusing("b"), answering("c"), hanging("d")])
      expect(yield* timeoutOf(endpoint, { prepare: () => Effect.never })).toMatchObject({
        failures: [["b", "b refused"]],
        pending: ["c"],
        message: "db: no connection within 10s: prepare had not finished at c; b: b refused"
      })
    })
  )

  it.scoped("of a failover tells which endpoints of the round have failed before", () =>
    Effect.gen(function* () {
      const endpoint = Endpoint.failover([refusing("a"), refusing("b"), hanging("c"), answering("d")])
      expect(yield* timeoutOf(endpoint, { attempt: 3 })).toMatchObject({
        failures: [
          ["a", "a refused"],
          ["b", "b refused"]
        ],
        pending: ["c"]
      })
    })
  )

  it.scoped("of endpoints that have several themselves tells of those", () =>
    Effect.gen(function* () {
      const [a, b] = [Endpoint.happyEyeballs([hanging("a1"), refusing("a2")]), Endpoint.failover([refusing("b")])]
      const endpoint = Endpoint.happyEyeballs([a, b, Endpoint.failover([hanging("c")])])
      const { failures, pending } = yield* timeoutOf(endpoint)
      expect(failures?.map(([endpoint]) => endpoint)).toEqual(["a2", b.name])
      expect(pending).toEqual(["a1", "c"])
    })
  )

  it.scoped("tells nothing of what an attempt before has tried", () =>
    Effect.gen(function* () {
      let attempt = 0
      const endpoint = Endpoint.make({
        name: "a",
        connect: (signal: Endpoint.ConnectionSignal<unknown>) => {
          attempt += 1
          return attempt === 1 ? Endpoint.failover([refusing("b")]).connect(signal) : Effect.never
        }
      })
      expect(yield* timeoutOf(endpoint, { attempt: 2 })).toMatchObject({ failures: undefined, pending: undefined })
    })
  )
})
