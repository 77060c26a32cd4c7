import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FiberRef } from "effect"
import type { Endpoint } from "effect-client-service"
import { OwnConnection } from "effect-client-service-driver"

/** A connection that can be lost, and tells what was opened and closed. */
const makeServer = Effect.gen(function* () {
  const log: Array<string> = []
  const signal = yield* Deferred.make<Endpoint.ConnectionSignal<string>>()
  const open = (given: Endpoint.ConnectionSignal<string>) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        log.push("opened")
        Deferred.unsafeDone(signal, Effect.succeed(given))
        return "connection"
      }),
      () => Effect.sync(() => log.push("closed"))
    )
  const drop = Effect.map(Deferred.await(signal), ({ lost }) => lost("reset"))
  return { log, open, drop }
})

const lost = { _tag: "ConnectionLost", service: "mine", cause: "reset" }

describe("a connection of one's own", () => {
  it.effect("is closed when what it is for is done, with what that has changed of its caller", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const ref = FiberRef.unsafeMake("before")
      const used = OwnConnection.use("mine", server.open, (connection) =>
        Effect.as(Effect.locally(FiberRef.set(ref, "after"), FiberRef.unsafeMake(0), 1), connection)
      )
      expect(yield* used).toBe("connection")
      expect(yield* FiberRef.get(ref)).toBe("after")
      expect(server.log).toEqual(["opened", "closed"])
    }).pipe(Effect.scoped)
  )

  it.effect("fails what it is for with the loss, whatever that failed with for it", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const used = OwnConnection.use("mine", server.open, () =>
        Effect.zipRight(server.drop, Effect.fail("broken pipe"))
      )
      expect(yield* Effect.flip(used)).toMatchObject(lost)
      expect(server.log).toEqual(["opened", "closed"])
    })
  )

  it.effect("leaves alone what fails without a loss", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      expect(yield* Effect.flip(OwnConnection.use("mine", server.open, () => Effect.fail("wrong")))).toBe("wrong")
      expect(server.log).toEqual(["opened", "closed"])
    })
  )

  it.effect.each<[string, Effect.Effect<never>]>([
    ["waits", Effect.never],
    ["can't be interrupted", Effect.uninterruptible(Effect.never)]
  ])("ends with a loss though what it is for %s, in a caller that can't be interrupted too", ([, work]) =>
    Effect.gen(function* () {
      for (const caller of [Effect.interruptible, Effect.uninterruptible]) {
        const server = yield* makeServer
        const fiber = yield* Effect.forkDaemon(caller(OwnConnection.use("mine", server.open, () => work)))
        yield* server.drop
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject(lost)
        expect(server.log).toEqual(["opened", "closed"])
      }
    })
  )

  it.effect("ends when its caller is interrupted after any step, and leaves nothing open", () =>
    Effect.gen(function* () {
      let opened = 0
      for (let steps = 0; steps < 400; steps++) {
        const server = yield* makeServer
        let isRunning = false
        const work = Effect.acquireUseRelease(
          Effect.sync(() => {
            isRunning = true
          }),
          () => Effect.never,
          () =>
            Effect.sync(() => {
              isRunning = false
            })
        )
        const fiber = yield* Effect.forkDaemon(
          Effect.withMaxOpsBeforeYield(
            OwnConnection.use("mine", server.open, () => work),
            10 + Math.floor(steps / 8)
          )
        )
        yield* Effect.repeatN(Effect.yieldNow(), steps % 8)

        const exit = yield* Fiber.interrupt(fiber)
        expect(Exit.isInterrupted(exit)).toBe(true)
        expect(isRunning).toBe(false)
        expect(server.log).toEqual(server.log.length === 0 ? [] : ["opened", "closed"])
        opened += server.log.length
      }
      expect(opened).toBeGreaterThan(0)
    })
  )
})
