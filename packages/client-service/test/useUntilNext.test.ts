import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Queue, Stream, TestClock } from "effect"
import { ClientService, TestEndpoint } from "effect-client-service"
import { settle } from "./support/fixture.js"

const make = (options: { readonly maxAge?: "1 minute" } = {}) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({ endpoint: server.endpoint, drainTimeout: "10 seconds", ...options })
    yield* service.start
    yield* server.accept("first")
    yield* service.whenConnected()
    return { server, service }
  })

/** Uses a connection until it is told to end, and tells what `next` has come to. */
const used = (service: ClientService.ClientService<string, string>, before: Effect.Effect<unknown> = Effect.void) =>
  Effect.gen(function* () {
    const told = yield* Deferred.make<unknown, unknown>()
    const end = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(
      ClientService.useUntilNext(service, (protocol, next) =>
        before.pipe(
          Effect.zipRight(Effect.forkDaemon(Effect.intoDeferred(next, told))),
          Effect.zipRight(Deferred.await(end)),
          Effect.as(protocol)
        )
      )
    )
    yield* settle
    return { told, end: Deferred.succeed(end, undefined), fiber }
  })

describe("useUntilNext", () => {
  it.scoped("tells of a later connection, while the one that it has is still open", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({ maxAge: "1 minute" })
      const { end, fiber, told } = yield* used(service)
      yield* TestClock.adjust("50 seconds")
      expect(yield* Deferred.isDone(told)).toBe(false)
      yield* TestClock.adjust("20 seconds")
      yield* server.accept("second")
      yield* settle
      expect(Exit.isSuccess(yield* Effect.exit(Deferred.await(told)))).toBe(true)
      expect(fiber.unsafePoll()).toBe(null)
      yield* end
      expect(yield* Fiber.join(fiber)).toBe("first")
    })
  )

  it.scoped("lets a consumer finish what it has received, and ask for no more", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({ maxAge: "1 minute" })
      const received = yield* Queue.unbounded<Option.Option<string>>()
      const cancel = Queue.offer(received, Option.none())
      const mayGoOn = yield* Deferred.make<void>()
      const done: Array<string> = []
      const working = yield* Effect.fork(
        ClientService.useUntilNext(service, (_, next) =>
          Effect.fork(Effect.zipRight(Effect.ignore(next), cancel)).pipe(
            Effect.zipRight(
              Stream.fromQueue(received).pipe(
                Stream.takeWhile(Option.isSome),
                Stream.runForEach(({ value }) =>
                  Effect.zipRight(
                    Deferred.await(mayGoOn),
                    Effect.sync(() => done.push(value))
                  )
                )
              )
            )
          )
        )
      )
      yield* Queue.offerAll(received, [Option.some("first"), Option.some("second")])
      yield* TestClock.adjust("70 seconds")
      yield* server.accept("second")
      yield* settle
      expect(working.unsafePoll()).toBe(null)
      yield* Deferred.succeed(mayGoOn, undefined)
      yield* Fiber.join(working)
      expect(done).toEqual(["first", "second"])
    })
  )

  it.scoped("tells of a stop that a start follows before it comes to wait", () =>
    Effect.gen(function* () {
      const { service } = yield* make()
      const restart = Effect.suspend(() => Effect.zipRight(Effect.fork(service.stop), Effect.yieldNow()))
      const { end, fiber, told } = yield* used(service, Effect.zipRight(restart, service.start))
      yield* settle
      expect(yield* Effect.flip(Deferred.await(told))).toMatchObject({ _tag: "ServiceStopped" })
      yield* end
      expect(yield* Fiber.join(fiber)).toBe("first")
    })
  )

  it.scoped("works with a service of a test", () =>
    Effect.gen(function* () {
      const { service } = yield* make()
      const stub: ClientService.ClientService<string, string> = Object.assign(Object.create(Object.prototype), {
        [ClientService.TypeId]: ClientService.TypeId,
        use: (f: (protocol: string) => Effect.Effect<unknown>) => service.use(f),
        connections: Stream.make("first", "second")
      })
      const next = ClientService.useUntilNext(stub, (protocol, next) => Effect.as(next, protocol))
      expect(yield* next).toBe("first")
    })
  )
})
