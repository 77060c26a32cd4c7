import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"

const make = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const service = yield* ClientService.make({
    endpoint: server.endpoint,
    drainTimeout: "1 hour",
    retryPolicy: RetryPolicy.fromFunction(() => "1 minute")
  })
  yield* service.start
  const connection = yield* server.accept("first")
  yield* awaitState(service, "Connected")
  return { connection, service }
})

/** A call that is never answered unless it is told to be, and what becomes of it. */
const makeCall = (ended: () => void = () => {}) => {
  const seen = {
    begun: 0,
    ended: 0,
    isLost: undefined as boolean | undefined,
    resume: (_: Effect.Effect<string, string>): void => {}
  }
  const begin = (_: string, resume: (effect: Effect.Effect<string, string>) => void) => {
    seen.begun += 1
    seen.resume = resume
    return (isLost: boolean) => {
      seen.ended += 1
      seen.isLost = isLost
      ended()
    }
  }
  return { begin, seen }
}

describe("useAsync", () => {
  it.scoped("goes on with what it is resumed with, at once or later, and then needs no cleanup", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      expect(
        yield* service.useAsync<string>((protocol, resume) => {
          resume(Effect.succeed(protocol))
        })
      ).toBe("first")
      const { begin, seen } = makeCall()
      const use = yield* Effect.fork(service.useAsync(begin))
      yield* settle
      seen.resume(Effect.fail("refused"))
      seen.resume(Effect.succeed("too late"))
      expect(yield* Fiber.await(use)).toEqual(Exit.fail("refused"))
      expect(seen).toMatchObject({ begun: 1, ended: 0 })
    })
  )

  it.scoped("dies of what the function throws", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      const thrown = service.useAsync<string>(() => {
        throw "thrown"
      })
      expect(yield* Effect.exit(thrown)).toEqual(Exit.die("thrown"))
    })
  )

  it.scoped(
    "fails with ConnectionLost and cleans up when the connection is lost, whatever region the caller is in",
    () =>
      Effect.gen(function* () {
        const { connection, service } = yield* make
        const calls = [makeCall(), makeCall()] as const
        const uses = [
          yield* Effect.fork(service.useAsync(calls[0].begin)),
          yield* Effect.fork(Effect.uninterruptible(service.useAsync(calls[1].begin)))
        ]
        yield* settle
        yield* connection.drop("cut")
        for (const use of uses) {
          expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "ConnectionLost", cause: "cut" })
        }
        for (const { seen } of calls) {
          seen.resume(Effect.succeed("too late"))
          expect(seen).toMatchObject({ ended: 1, isLost: true })
        }
      })
  )

  it.scoped("cleans up also if the connection is lost while it begins", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make
      const { begin, seen } = makeCall()
      const use = service.useAsync<string, string>((protocol, resume) => {
        Effect.runSync(connection.drop())
        return begin(protocol, resume)
      })
      expect(yield* Effect.flip(use)).toMatchObject({ _tag: "ConnectionLost" })
      expect(seen).toMatchObject({ begun: 1, ended: 1, isLost: true })
    })
  )

  it.scoped("ends everybody with the connection, also when the cleanup of one throws or ends another", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make
      const second = makeCall()
      const first = makeCall(() => {
        second.seen.resume(Effect.succeed("ended by the first"))
        throw "thrown"
      })
      const third = makeCall()
      const uses = yield* Effect.forEach([first, second, third], ({ begin }) => Effect.fork(service.useAsync(begin)))
      yield* settle
      yield* connection.drop()
      expect(yield* Effect.forEach(uses, Fiber.await)).toMatchObject([
        Exit.die("thrown"),
        Exit.succeed("ended by the first"),
        { cause: { error: { _tag: "ConnectionLost" } } }
      ])
      expect(yield* service.state.get).toMatchObject({ _tag: "Waiting" })
    })
  )

  it.scoped("cleans up when the caller is interrupted, and is no use under way any more", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      const [first, second, third] = [makeCall(), makeCall(), makeCall()]
      const uses = yield* Effect.forEach([first, second, third], ({ begin }) => Effect.fork(service.useAsync(begin)))
      yield* settle
      const stopping = yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* service.state.get).toMatchObject({ _tag: "Disconnecting", uses: 3 })
      for (const [index, use] of [1, 0, 2].map((index) => [index, uses[index]] as const)) {
        expect(stopping.unsafePoll()).toBeNull()
        if (use !== undefined) yield* Fiber.interrupt(use)
        expect([first, second, third][index]?.seen).toMatchObject({ begun: 1, ended: 1, isLost: false })
      }
      yield* Fiber.join(stopping)
    })
  )
})
