import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Effect, Exit, Scope } from "effect"
import { ClientService, Endpoint, InvalidOption, RetryPolicy } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withLogs } from "./support/logs.js"

class Closed extends Data.TaggedError("Closed")<{ readonly code: number }> {}
class Refused extends Data.TaggedError("Refused") {}
class Dns extends Context.Tag("test/Dns")<Dns, { readonly dns: true }>() {}
class Pinger extends Context.Tag("test/Pinger")<Pinger, { readonly pinger: true }>() {}

type Lost = (lost: Effect.Effect<unknown, Closed, Scope.Scope>) => Endpoint.Endpoint<string, Closed>

/** The ways to tell of a loss by an Effect. */
const ways: Record<string, Lost> = {
  fromConnection: (lost) => Endpoint.fromConnection("feed", Effect.succeed({ value: "up", lost })),
  lostWhen: (lost) =>
    Endpoint.make({ name: "feed", connect: () => Effect.succeed("up") }).pipe(Endpoint.lostWhen(() => lost)),
  "lostWhen, data first": (lost) =>
    Endpoint.lostWhen(Endpoint.make({ name: "feed", connect: () => Effect.succeed("up") }), () => lost)
}

/** Connects in a Scope of its own, which the test closes as a service would. */
const connect = <A, E>(endpoint: Endpoint.Endpoint<A, E>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const losses: Array<E | undefined> = []
    const value = yield* Scope.extend(endpoint.connect({ lost: (error) => losses.push(error) }), scope)
    return { value, losses, close: Scope.close(scope, Exit.void) }
  })

for (const [way, endpointOf] of Object.entries(ways)) {
  describe(way, () => {
    it.effect("gives the value, and is not lost as long as the Effect runs", () =>
      Effect.gen(function* () {
        const { losses, value } = yield* connect(endpointOf(Effect.never))
        yield* settle
        expect([value, losses]).toEqual(["up", []])
      })
    )

    it.effect("is lost without an error when the Effect succeeds", () =>
      Effect.gen(function* () {
        const closed = yield* Deferred.make<void>()
        const { losses } = yield* connect(endpointOf(Deferred.await(closed)))
        yield* settle
        expect(losses).toEqual([])
        yield* Deferred.succeed(closed, undefined)
        yield* settle
        expect(losses).toEqual([undefined])
      })
    )

    it.effect("is lost with the very error of the Effect", () =>
      Effect.gen(function* () {
        const error = new Closed({ code: 1001 })
        const { losses } = yield* connect(endpointOf(Effect.fail(error)))
        yield* settle
        expect(losses[0]).toBe(error)
      })
    )

    it.effect("is lost, and logs why, when the Effect dies", () =>
      Effect.gen(function* () {
        yield* withLogs((logs) =>
          Effect.gen(function* () {
            const { losses } = yield* connect(endpointOf(Effect.die("boom")))
            yield* settle
            expect(losses).toEqual([undefined])
            expect(logs.filter(({ level }) => level === "Error")).toMatchObject([
              { message: "feed: what ends with the connection died", cause: Cause.die("boom") }
            ])
          })
        )
      })
    )

    it.effect("is lost when the Effect interrupts itself", () =>
      Effect.gen(function* () {
        const { losses } = yield* connect(endpointOf(Effect.interrupt))
        yield* settle
        expect(losses).toEqual([undefined])
      })
    )

    it.effect("interrupts the Effect when the connection closes, which is no loss", () =>
      Effect.gen(function* () {
        const events: Array<string> = []
        const lost = Effect.acquireRelease(
          Effect.sync(() => events.push("acquire")),
          () => Effect.sync(() => events.push("release"))
        ).pipe(
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() => Effect.sync(() => events.push("interrupt")))
        )
        const { close, losses } = yield* Effect.uninterruptible(connect(endpointOf(lost)))
        yield* settle
        expect(events).toEqual(["acquire"])
        yield* close
        expect(events).toEqual(["acquire", "interrupt", "release"])
        expect(losses).toEqual([])
      })
    )

    it.scoped("has a service connect again", () =>
      Effect.gen(function* () {
        const closes: Array<Deferred.Deferred<void, Closed>> = []
        const lost = Effect.flatMap(Deferred.make<void, Closed>(), (closed) => {
          closes.push(closed)
          return Deferred.await(closed)
        })
        const service = yield* ClientService.make({
          endpoint: endpointOf(lost),
          retryPolicy: RetryPolicy.fromFunction(() => 0)
        })
        yield* service.start
        expect(yield* service.whenConnected()).toBe("up")
        yield* settle
        const [closed] = closes
        if (closed !== undefined) yield* Deferred.fail(closed, new Closed({ code: 4003 }))
        yield* settle
        yield* awaitState(service, "Connected")
        expect(yield* service.state.get).toMatchObject({ generation: 2 })
        expect(closes.length).toBe(2)
      })
    )

    it.scoped("fails the attempt with the error if it is lost before it is prepared", () =>
      Effect.gen(function* () {
        const service = yield* ClientService.make({
          endpoint: endpointOf(new Closed({ code: 1008 })),
          prepare: () => Effect.never
        })
        yield* service.start
        yield* awaitState(service, "Waiting")
        expect(yield* service.state.get).toMatchObject({ cause: Cause.fail(new Closed({ code: 1008 })) })
      })
    )
  })
}

describe("fromConnection", () => {
  it("refuses a blank name", () => {
    expect(() => Endpoint.fromConnection(" ", Effect.never)).toThrow(InvalidOption.InvalidOption)
  })

  it.effect("connects afresh at every attempt", () =>
    Effect.gen(function* () {
      let attempts = 0
      const endpoint = Endpoint.fromConnection(
        "feed",
        Effect.sync(() => ({ value: ++attempts, lost: Effect.never }))
      )
      expect([(yield* connect(endpoint)).value, (yield* connect(endpoint)).value]).toEqual([1, 2])
    })
  )

  it("infers the errors and the needs of both, without the Scope", () => {
    const open = Effect.zipRight(Effect.zip(Dns, Effect.scope), new Refused()).pipe(
      Effect.as({ value: 1, lost: Effect.zipRight(Effect.zip(Pinger, Effect.scope), new Closed({ code: 1 })) })
    )
    expectTypeOf(Endpoint.fromConnection("feed", open)).toEqualTypeOf<
      Endpoint.Endpoint<number, Refused | Closed, Dns | Pinger>
    >()
  })
})

describe("lostWhen", () => {
  const endpoint = Endpoint.make({ name: "feed", connect: () => Effect.as(Effect.zipRight(Dns, new Refused()), 1) })

  it("infers the errors and the needs of both, without the Scope", () => {
    const lost = (_: number) => Effect.zipRight(Effect.zip(Pinger, Effect.scope), new Closed({ code: 1 }))
    type Both = Endpoint.Endpoint<number, Refused | Closed, Dns | Pinger>
    expectTypeOf(endpoint.pipe(Endpoint.lostWhen(lost))).toEqualTypeOf<Both>()
    expectTypeOf(Endpoint.lostWhen(endpoint, lost)).toEqualTypeOf<Both>()
    endpoint.pipe(
      Endpoint.lostWhen((value) => {
        expectTypeOf(value).toEqualTypeOf<number>()
        return Effect.never
      })
    )
  })

  it.effect("takes a function that throws for an Effect that dies", () =>
    Effect.gen(function* () {
      const throwing = Endpoint.make({ name: "feed", connect: () => Effect.succeed(1) }).pipe(
        Endpoint.lostWhen((): Effect.Effect<void> => {
          throw new Error("boom")
        })
      )
      yield* withLogs(() =>
        Effect.gen(function* () {
          const { losses } = yield* connect(throwing)
          yield* settle
          expect(losses).toEqual([undefined])
        })
      )
    })
  )
})
