import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted } from "effect"
import { Credential } from "effect-client-service-driver"

class Refused {
  constructor(readonly cause: unknown) {}
}

const reveal = (credential: Credential.Credential) =>
  Effect.merge(Credential.reveal(credential, (cause) => new Refused(cause)))

describe("what may be had at every attempt", () => {
  const obtain = <A>(given: Credential.Fresh<A>) =>
    Effect.merge(Credential.obtain(given, (cause) => new Refused(cause)))

  it.effect("is what is given, or what an Effect gives each time", () =>
    Effect.gen(function* () {
      let asked = 0
      const fresh = Effect.sync(() => ({ asked: ++asked }))
      expect([yield* obtain({ asked: 7 }), yield* obtain(fresh), yield* obtain(fresh)]).toEqual(
        [7, 1, 2].map((asked) => ({ asked }))
      )
      expect([Credential.isFresh({}), Credential.isFresh(fresh)]).toEqual([false, true])
      expect(yield* obtain(Effect.fail("none"))).toEqual(new Refused("none"))
      expect(yield* obtain(Effect.die("none"))).toEqual(new Refused("none"))
      const interrupted = { cause: expect.objectContaining({ _tag: "InterruptedException" }) }
      expect(yield* obtain(Effect.interrupt)).toMatchObject(interrupted)
      expect(yield* reveal(Effect.interrupt)).toMatchObject(interrupted)
    })
  )

  it.effect("ends with the attempt that asks", () =>
    Effect.gen(function* () {
      const asking = yield* Effect.fork(obtain(Effect.never))
      yield* Effect.yieldNow()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(asking))).toBe(true)
    })
  )
})

describe("what its source fails with", () => {
  const onFailure = (cause: unknown, detail: string | undefined) => ({ cause, detail })

  it.effect("is told by its message too, and of a secret by its name alone", () =>
    Effect.gen(function* () {
      const sealed = new Error("the vault is sealed")
      const denied = Object.assign(new Error("hunter2 is denied"), { name: "VaultError" })
      for (const [error, name] of [
        [sealed, undefined],
        [denied, "VaultError"]
      ] as const) {
        for (const source of [Effect.fail(error), Effect.die(error)]) {
          const told = yield* Effect.flip(Credential.obtain(source, onFailure))
          expect(told).toEqual({ cause: error, detail: error.message })
          expect(yield* Effect.flip(Credential.reveal(source, onFailure))).toEqual({ cause: error, detail: name })
        }
      }
      expect(yield* Effect.flip(Credential.reveal(Effect.fail("none"), onFailure))).toEqual({ cause: "none" })
    })
  )
})

describe("a credential", () => {
  it.effect.each<[string, Credential.Credential]>([
    ["a text", "secret"],
    ["a Redacted", Redacted.make("secret")],
    ["an Effect that gives a text", Effect.succeed("secret")],
    ["an Effect that gives a Redacted", Effect.succeed(Redacted.make("secret"))]
  ])("may be %s", ([, credential]) =>
    Effect.gen(function* () {
      expect(yield* reveal(credential)).toBe("secret")
    })
  )

  it.effect("is asked for every time if it is an Effect, and only then", () =>
    Effect.gen(function* () {
      let asked = 0
      const credential = Effect.sync(() => {
        asked += 1
        return String(asked)
      })
      expect([yield* reveal(credential), yield* reveal(credential)]).toEqual(["1", "2"])
      expect(["secret", Redacted.make("secret"), credential].map(Credential.isAskedAgain)).toEqual([false, false, true])
    })
  )

  const sealed = new Error("sealed")
  it.effect.each<[string, Credential.Credential, unknown]>([
    ["fails", Effect.fail(sealed), sealed],
    ["dies", Effect.die(sealed), sealed],
    [
      "gives no secret",
      // What a program without types may give.
      Effect.map(Effect.void, () => JSON.parse("7")),
      new TypeError("a credential must be a text or a Redacted")
    ]
  ])("fails as its driver says if its source %s", ([, credential, cause]) =>
    Effect.gen(function* () {
      expect(yield* reveal(credential)).toEqual(new Refused(cause))
    })
  )
})
