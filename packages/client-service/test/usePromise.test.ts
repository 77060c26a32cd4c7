import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"

const make = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const service = yield* ClientService.make({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "1 minute")
  })
  yield* service.start
  const connection = yield* server.accept("first")
  yield* awaitState(service, "Connected")
  return { connection, service }
})

/** A promise that never ends, and the signal that it was given. */
const makeHanging = () => {
  const given: { signal?: AbortSignal } = {}
  const evaluate = (_: string, signal: AbortSignal) => {
    given.signal = signal
    return new Promise<string>(() => {})
  }
  return { evaluate, given }
}

describe("usePromise", () => {
  it.scoped("gives what the promise gives", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      expect(yield* service.usePromise(async (protocol) => protocol.length)).toBe(5)
    })
  )

  it.scoped("fails with an UnknownException of what the promise is rejected with, or the function throws", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      const rejected = new Error("rejected")
      for (const evaluate of [
        () => Promise.reject(rejected),
        (): Promise<string> => {
          throw rejected
        }
      ]) {
        expect(yield* Effect.flip(service.usePromise(evaluate))).toMatchObject({
          _tag: "UnknownException",
          error: rejected
        })
      }
    })
  )

  it.scoped("fails with what catch makes of it, and dies if that throws", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      const evaluate = () => Promise.reject("rejected")
      expect(yield* Effect.flip(service.usePromise({ try: evaluate, catch: (error) => `${error}, mine` }))).toBe(
        "rejected, mine"
      )
      const thrown = () => {
        throw "thrown"
      }
      expect(yield* Effect.exit(service.usePromise({ try: evaluate, catch: thrown }))).toEqual(Exit.die("thrown"))
    })
  )

  it.scoped("fails with ConnectionLost and aborts the signal when the connection is lost", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make
      const { evaluate, given } = makeHanging()
      const use = yield* Effect.fork(service.usePromise(evaluate))
      yield* settle
      expect(given.signal?.aborted).toBe(false)
      yield* connection.drop("cut")
      expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "ConnectionLost", cause: "cut" })
      expect(given.signal?.aborted).toBe(true)
    })
  )

  it.scoped("aborts the signal of a function that loses its own connection", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make
      const { evaluate, given } = makeHanging()
      const losing = (protocol: string, signal: AbortSignal) => {
        Effect.runSync(connection.drop("cut"))
        return evaluate(protocol, signal)
      }
      expect(yield* Effect.flip(service.usePromise(losing))).toMatchObject({ _tag: "ConnectionLost", cause: "cut" })
      expect(given.signal?.aborted).toBe(true)
    })
  )

  it.scoped("aborts the signal when it is interrupted, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { service } = yield* make
      const { evaluate, given } = makeHanging()
      const use = yield* Effect.fork(service.usePromise(evaluate))
      yield* settle
      yield* Fiber.interrupt(use)
      expect(given.signal?.aborted).toBe(true)
      yield* service.stop
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("ignores what becomes of a promise that it has given up", () =>
    Effect.gen(function* () {
      const { connection, service } = yield* make
      let reject = (_: unknown) => {}
      const promise = new Promise<string>((_, rejected) => {
        reject = rejected
      })
      const use = yield* Effect.fork(service.usePromise(() => promise))
      yield* settle
      yield* connection.drop()
      yield* settle
      reject("too late")
      yield* Effect.ignore(Effect.tryPromise(() => promise))
      expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "ConnectionLost" })
    })
  )

  it.scoped("runs its function once, with the connection that there is then", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({ endpoint: server.endpoint })
      const calls: Array<string> = []
      const use = yield* Effect.fork(
        service.usePromise(async (protocol) => {
          calls.push(protocol)
          return protocol
        })
      )
      yield* settle
      expect(calls).toEqual([])
      yield* service.start
      yield* server.accept("first")
      expect(yield* Fiber.join(use)).toBe("first")
      expect(calls).toEqual(["first"])
    })
  )
})
