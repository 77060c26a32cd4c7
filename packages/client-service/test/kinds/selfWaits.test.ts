import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Fiber, Scope, TestClock } from "effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"
import { withLogs } from "../support/logs.js"

type Service = ClientService.ClientService<string, string>

const calls: Record<string, (service: Service) => Effect.Effect<unknown, unknown>> = {
  check: (service) => service.check(),
  stop: (service) => service.stop,
  reconnect: (service) => service.reconnect,
  use: (service) => service.use(() => Effect.void),
  whenConnected: (service) => service.whenConnected(),
  "whenConnected that hears of failures": (service) => service.whenConnected({ failAfterFailures: 2 })
}

const regions: Record<string, <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>> = {
  "": (effect) => effect,
  " in an uninterruptible region": Effect.uninterruptible,
  " in a fiber that it waits for": (effect) => Effect.flatMap(Effect.fork(effect), Fiber.join)
}

/** Calls the service once, where it is told to, and tells whether that has come to an end. */
const calling = (call: (service: Service) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const service = yield* Deferred.make<Service>()
    const called = { isCalled: false, isOver: false }
    const here = Effect.flatMap(Deferred.await(service), (service) => {
      if (called.isCalled) return Effect.void
      called.isCalled = true
      return call(service).pipe(
        Effect.onExit(() =>
          Effect.sync(() => {
            called.isOver = true
          })
        ),
        Effect.mapError(() => "failed")
      )
    })
    return { called, here, service }
  })

interface Places {
  readonly connect?: Effect.Effect<unknown, string, Scope.Scope>
  readonly prepare?: Effect.Effect<unknown, string, Scope.Scope>
  readonly probe?: Effect.Effect<unknown, string>
  readonly policy?: Effect.Effect<unknown, string>
}

/** No time bounds what hangs. */
const make = ({ connect = Effect.void, policy = Effect.void, prepare = Effect.void, probe = Effect.void }: Places) =>
  Effect.gen(function* () {
    const signals: Array<Endpoint.ConnectionSignal<string>> = []
    const service: Service = yield* ClientService.make({
      endpoint: Endpoint.make({
        name: "test",
        connect: (signal: Endpoint.ConnectionSignal<string>) => {
          signals.push(signal)
          return Effect.as(connect, "protocol")
        }
      }),
      prepare: () => prepare,
      heartbeat: { probe: () => probe, interval: "1 minute", timeout: "1 hour" },
      retryPolicy: RetryPolicy.whileError(
        RetryPolicy.fromFunction(() => 0),
        (_: unknown) => Effect.as(Effect.orDieWith(policy, String), true)
      ),
      connectTimeout: "10 days",
      closeTimeout: Duration.infinity,
      drainTimeout: Duration.infinity
    })
    return { lose: () => signals.at(-1)?.lost("lost"), service }
  })

/** What makes of a call a place, and brings the service to it. */
const places: Record<
  string,
  (here: Effect.Effect<unknown, string>) => {
    readonly places: Places
    readonly reach: (made: Effect.Effect.Success<ReturnType<typeof make>>) => Effect.Effect<unknown>
  }
> = {
  connect: (connect) => ({ places: { connect }, reach: () => Effect.void }),
  prepare: (prepare) => ({ places: { prepare }, reach: () => Effect.void }),
  "the probe": (probe) => ({
    places: { probe },
    reach: ({ service }) => Effect.zipRight(awaitState(service, "Connected"), TestClock.adjust("1 minute"))
  }),
  "the policy": (policy) => ({
    places: { policy },
    reach: ({ lose, service }) => Effect.map(awaitState(service, "Connected"), lose)
  }),
  "a policy that takes its time": (policy) => ({
    places: { policy: Effect.zipRight(Effect.yieldNow(), policy) },
    reach: ({ lose, service }) => Effect.map(awaitState(service, "Connected"), lose)
  }),
  "a finalizer": (here) => ({
    places: { prepare: Effect.addFinalizer(() => Effect.ignore(here)) },
    reach: ({ lose, service }) => Effect.map(awaitState(service, "Connected"), lose)
  }),
  "a finalizer of a connection that is replaced": (here) => ({
    places: {
      connect: Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizer(scope, Effect.ignore(here)))
    },
    reach: ({ service }) => Effect.zipRight(awaitState(service, "Connected"), service.reconnect)
  }),
  "a use": (here) => ({
    places: {},
    reach: ({ service }) => Effect.fork(service.use(() => here))
  }),
  "a use within a use": (here) => ({
    places: {},
    reach: ({ service }) => Effect.fork(service.use(() => service.use(() => Effect.zipRight(Effect.yieldNow(), here))))
  })
}

describe("what the service waits for and calls the service", () => {
  for (const [place, at] of Object.entries(places)) {
    for (const [call, f] of Object.entries(calls)) {
      // Kind 11
      it.scoped(`${call} in ${place} hangs nowhere`, () =>
        Effect.gen(function* () {
          for (const [region, within] of Object.entries(regions)) {
            const { called, here, service: given } = yield* calling(f)
            const { places, reach } = at(within(here))
            const made = yield* make(places)
            yield* Deferred.succeed(given, made.service)
            yield* made.service.start
            yield* settle
            yield* reach(made)
            yield* Effect.repeatN(settle, 3)
            expect(called, `${call}${region}`).toEqual({ isCalled: true, isOver: true })
            // Nor does it leave a service behind that hangs.
            const { _tag } = yield* made.service.state.get
            if (call === "stop") expect(_tag, region).toBe("Stopped")
            else if (_tag !== "Connected") {
              yield* TestClock.adjust("1 second")
              yield* Effect.repeatN(settle, 3)
              expect((yield* made.service.state.get)._tag, region).toBe("Connected")
            }
            yield* made.service.stop
          }
        })
      )
    }
  }

  // Kind 11
  it.scoped("is told in the log", () =>
    Effect.gen(function* () {
      for (const [place, call, message] of [
        ["prepare", "check", "an attempt to connect waits for its own connection"],
        ["the probe", "check", "a probe waits for its own answer"],
        ["the policy", "use", "the retry policy waits for the connection that it is asked about"],
        ["a finalizer", "use", "what closes a connection waits for the next one"],
        ["a finalizer", "stop", "what stop waits for calls stop, which does not wait for it"],
        ["a use", "stop", "what stop waits for calls stop, which does not wait for it"]
      ] as const) {
        yield* withLogs((entries) =>
          Effect.gen(function* () {
            const { here, service: given } = yield* calling(calls[call] ?? (() => Effect.void))
            const { places: made, reach } = places[place]?.(here) ?? { places: {}, reach: () => Effect.void }
            const service = yield* make(made)
            yield* Deferred.succeed(given, service.service)
            yield* service.service.start
            yield* settle
            yield* reach(service)
            yield* Effect.repeatN(settle, 3)
            yield* service.service.stop
            const told = entries
              .filter(({ level }) => level === "Warning" || level === "Error")
              .filter((entry) => `${entry.message} ${Cause.pretty(entry.cause)}`.includes(message))
            expect(told, `${call} in ${place}`).toHaveLength(1)
          }).pipe(Effect.scoped)
        )
      }
    })
  )
})
