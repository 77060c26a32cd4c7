import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FiberRef, Option, Scope, Stream, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

/** A service with a connection, which lets its uses finish for so long when it stops. */
const make = (
  options: ClientService.CommonOptions<string, string, Effect.Effect<unknown, never, Scope.Scope>, never, never>
) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      retryPolicy: RetryPolicy.fromFunction(() => "1 second"),
      ...options
    })
    yield* service.start
    const connection = yield* server.accept("first")
    yield* awaitState(service, "Connected")
    return { connection, server, service }
  })

/** A use that ends when it is told to. */
const useUntilTold = (service: ClientService.ClientService<string, string>) =>
  Effect.gen(function* () {
    const told = yield* Deferred.make<string>()
    const fiber = yield* Effect.fork(service.use(() => Deferred.await(told)))
    yield* settle
    return { fiber, end: Effect.zipRight(Deferred.succeed(told, "done"), settle) }
  })

describe("a stop with a drainTimeout", () => {
  it.scoped("lets the uses under way finish, counts them down, and then closes", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make({ drainTimeout: "10 seconds" })
      const uses = yield* Effect.replicateEffect(useUntilTold(service), 2)
      const states: Array<unknown> = []
      yield* Effect.forkScoped(
        Stream.runForEach(service.state.changes, ({ _tag, ...state }) =>
          Effect.sync(() => states.push("uses" in state ? `${_tag} ${state.uses}` : _tag))
        )
      )
      yield* settle
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* service.state.get).toMatchObject({ _tag: "Disconnecting", uses: 2 })
      expect(yield* connection.closed).toBe(false)
      for (const use of uses) {
        yield* use.end
        expect(yield* Fiber.join(use.fiber)).toBe("done")
      }
      yield* Fiber.join(stop)
      expect(yield* connection.closed).toBe(true)
      yield* settle
      expect(states).toEqual(["Connected", "Disconnecting 2", "Disconnecting 1", "Disconnecting 0", "Stopped"])
    })
  )

  it.scoped("counts promises among them", () =>
    Effect.gen(function* () {
      const { service } = yield* make({ drainTimeout: "10 seconds" })
      let finish = (_: string) => {}
      const promise = new Promise<string>((resolve) => {
        finish = resolve
      })
      const use = yield* Effect.fork(service.usePromise(() => promise))
      yield* settle
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* service.state.get).toMatchObject({ _tag: "Disconnecting", uses: 1 })
      finish("done")
      yield* Effect.promise(() => promise)
      expect(yield* Fiber.join(use)).toBe("done")
      yield* Fiber.join(stop)
    })
  )

  it.scoped("leaves to who waits for it what is theirs, and not what the service was made with", () =>
    Effect.gen(function* () {
      const mine = yield* FiberRef.make("nobody's")
      for (const how of ["stop", "close"] as const) {
        yield* Effect.gen(function* () {
          const owner = yield* Scope.make()
          // In a later fiber, whose values a join would take for newer ones.
          const making = yield* Effect.forkDaemon(
            Effect.locally(Scope.extend(make({ drainTimeout: "10 seconds" }), owner), mine, "made")
          )
          const { service } = yield* Effect.flatten(Fiber.await(making))
          const use = yield* useUntilTold(service)
          yield* Effect.fork(Effect.zipRight(settle, use.end))
          yield* how === "stop" ? service.stop : Scope.close(owner, Exit.void)
          expect([how, yield* FiberRef.get(mine), (yield* Effect.scope) === owner]).toEqual([how, "asked", false])
          yield* Scope.close(owner, Exit.void)
        }).pipe(Effect.locally(mine, "asked"), Effect.scoped)
      }
    })
  )

  it.scoped("does not wait for the use that calls it, though its fiber belongs to the connection as well", () =>
    Effect.gen(function* () {
      const made = yield* Deferred.make<ClientService.ClientService<string, string>>()
      const called = yield* Deferred.make<void>()
      const { service } = yield* make({
        drainTimeout: "10 seconds",
        prepare: () =>
          Effect.forkScoped(
            Effect.flatMap(Deferred.await(made), (service) =>
              service.use(() => Effect.zipRight(service.stop, Deferred.succeed(called, undefined)))
            )
          )
      })
      yield* Deferred.succeed(made, service)
      yield* Deferred.await(called)
      yield* settle
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("fails those that have not finished in time", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make({ drainTimeout: "10 seconds" })
      const use = yield* useUntilTold(service)
      const stop = yield* Effect.fork(service.stop)
      yield* TestClock.adjust("9999 millis")
      expect(use.fiber.unsafePoll()).toBeNull()
      expect(yield* connection.closed).toBe(false)
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(use.fiber))).toMatchObject({
        _tag: "ConnectionLost",
        cause: { _tag: "ServiceStopped" }
      })
      yield* Fiber.join(stop)
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("turns away whoever comes, and ends what only waits or listens", () =>
    Effect.gen(function* () {
      const { service } = yield* make({ drainTimeout: "10 seconds" })
      const use = yield* useUntilTold(service)
      const stream = yield* Effect.fork(Stream.runDrain(ClientService.stream(service, () => Stream.never)))
      const connections = yield* Effect.fork(Stream.runDrain(service.connections))
      yield* settle
      yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* service.protocol.get).toEqual(Option.none())
      const all: ReadonlyArray<Effect.Effect<Exit.Exit<unknown, unknown>>> = [
        Effect.exit(service.whenConnected()),
        Effect.exit(service.use(() => Effect.void)),
        Effect.exit(service.usePromise(async () => {})),
        Fiber.await(stream),
        Fiber.await(connections)
      ]
      for (const ended of all) {
        expect(yield* Effect.flip(Effect.flatten(ended))).toMatchObject({ _tag: "ServiceStopped" })
      }
      // The subscription is none of those that are waited for.
      expect(yield* service.state.get).toMatchObject({ _tag: "Disconnecting", uses: 1 })
      yield* use.end
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("ends with the loss of the connection", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make({ drainTimeout: "10 seconds" })
      const use = yield* useUntilTold(service)
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      yield* connection.drop("cut")
      expect(yield* Effect.flip(Fiber.join(use.fiber))).toMatchObject({ _tag: "ConnectionLost", cause: "cut" })
      yield* Fiber.join(stop)
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("and a start meanwhile: has the next attempt wait for them", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* make({ drainTimeout: "10 seconds" })
      const use = yield* useUntilTold(service)
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      yield* service.start
      expect((yield* service.state.get)._tag).toBe("Restarting")
      const waiter = yield* Effect.fork(service.whenConnected())
      yield* settle
      expect(waiter.unsafePoll()).toBeNull()
      expect(yield* server.attempts).toBe(1)
      yield* use.end
      expect(yield* Fiber.join(use.fiber)).toBe("done")
      yield* Fiber.join(stop)
      expect(yield* connection.closed).toBe(true)
      yield* server.accept("second")
      expect(yield* Fiber.join(waiter)).toBe("second")
    })
  )

  it.scoped("does not wait where nothing is used, nor by default", () =>
    Effect.gen(function* () {
      const idle = yield* make({ drainTimeout: "10 seconds" })
      yield* idle.service.stop
      expect(yield* idle.connection.closed).toBe(true)
      const used = yield* make({})
      const use = yield* useUntilTold(used.service)
      yield* used.service.stop
      expect(yield* Effect.flip(Fiber.join(use.fiber))).toMatchObject({ _tag: "ConnectionLost" })
    })
  )

  it.scoped("is done, and leaves no timer, when the owner Scope closes", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const outer = yield* Deferred.make<string>()
        const scoped = yield* Effect.fork(
          Effect.scoped(
            Effect.gen(function* () {
              const { service } = yield* make({ drainTimeout: "10 seconds" })
              yield* Effect.forkDaemon(service.use(() => Deferred.await(outer)))
              yield* settle
            })
          )
        )
        yield* settle
        expect(scoped.unsafePoll()).toBeNull()
        yield* Deferred.succeed(outer, "done")
        yield* settle
        expect(scoped.unsafePoll()).toEqual(Exit.void)
        expect(timers.pending()).toBe(0)
      })
    )
  )

  it.scoped("lets the uses of a connection that was replaced finish as well", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({
        drainTimeout: "10 seconds",
        closeTimeout: "1 hour",
        maxAge: "1 minute"
      })
      const use = yield* useUntilTold(service)
      yield* TestClock.adjust("1 minute")
      yield* server.accept("second")
      yield* settle
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* service.state.get).toMatchObject({ _tag: "Disconnecting", uses: 1 })
      yield* use.end
      expect(yield* Fiber.join(use.fiber)).toBe("done")
      yield* Fiber.join(stop)
    })
  )
})
