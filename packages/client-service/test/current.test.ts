import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Runtime, RuntimeFlags, Stream, TestClock } from "effect"
import { ConnectionError, type ConnectionState } from "effect-client-service"
import type { Established } from "../src/internal/connection/phase.js"
import { type AsyncUse, fromPromise, Users } from "../src/internal/connection/use.js"
import { makeFork } from "../src/internal/fork.js"
import { Current } from "../src/internal/service/current.js"
import { Changes } from "../src/internal/time/changes.js"
import { held } from "./failures/support.js"
import { settle } from "./support/fixture.js"
import { countingWaiters } from "./support/metrics.js"
import { day, withWallClock } from "./support/wallClock.js"

const make = Effect.gen(function* () {
  const counts = { waiting: 0 }
  const state: ConnectionState.ConnectionState<string, string> = { _tag: "Restarting" }
  const current = yield* Current.make<string, string>({
    name: "test",
    clock: yield* Effect.clock,
    fork: yield* makeFork<never>(),
    state: () => state,
    beforeWait: () => undefined,
    metrics: countingWaiters((more) => {
      counts.waiting += more
    })
  })
  return { counts, current, runtime: yield* Effect.runtime<never>() }
})

const established = (protocol: string, generation = 1): Established<string> => ({
  protocol,
  generation,
  users: new Users("test", new Changes(), undefined),
  some: Option.some(protocol),
  succeed: Effect.succeed(protocol)
})

const refused = Exit.fail("refused")
const stopped = new ConnectionError.ServiceStopped({ service: "test" })

describe("the current connection", () => {
  it.effect("is the same to those who wait, to those who look and to those who watch", () =>
    Effect.gen(function* () {
      const { current } = yield* make
      const seen: Array<Option.Option<string> | undefined> = []
      const watcher = yield* Effect.fork(
        Stream.runForEach(current.ref.changes, (protocol) => Effect.sync(() => seen.push(protocol)))
      )
      yield* settle
      const first = established("first")
      current.set(first)
      yield* current.publish ?? Effect.void
      expect(yield* current.whenConnected).toBe("first")
      expect(current.protocol).toEqual(Option.some("first"))
      current.leave(first)
      yield* current.publish ?? Effect.void
      const waiter = yield* Effect.fork(current.whenConnected)
      yield* settle
      expect(waiter.unsafePoll()).toBeNull()
      expect(current.protocol).toEqual(Option.none())
      expect(seen).toEqual([Option.none(), Option.some("first"), Option.none()])
      expect(current.publish).toBeUndefined()
      yield* Fiber.interruptAll([watcher, waiter])
    })
  )

  it.effect("is not left with an older one that leaves", () =>
    Effect.gen(function* () {
      const { current } = yield* make
      const first = established("first")
      current.set(first)
      current.set(established("second", 2))
      current.leave(first)
      expect(yield* current.whenConnected).toBe("second")
    })
  )

  it.effect("is looked at again by those who are woken", () =>
    Effect.gen(function* () {
      const { counts, current } = yield* make
      const waiters = yield* Effect.all([
        Effect.fork(current.whenConnected),
        Effect.fork(current.whenConnectedOrFailed(1)),
        Effect.fork(current.use(Effect.succeed, 1000))
      ])
      yield* settle
      expect(counts.waiting).toBe(3)
      const first = established("first")
      current.set(first)
      current.leave(first)
      yield* settle
      expect(waiters.map((waiter) => waiter.unsafePoll())).toEqual([null, null, null])
      expect(counts.waiting).toBe(3)
      current.set(established("second", 2))
      yield* settle
      for (const waiter of waiters) expect(waiter.unsafePoll()).toEqual(Exit.succeed("second"))
      expect(counts.waiting).toBe(0)
    })
  )
})

describe("a wait of limited length", () => {
  it.effect("goes on when the connection is lost in the turn that it was woken in, and no longer than it may", () =>
    Effect.gen(function* () {
      const { current } = yield* make
      const use = yield* Effect.fork(current.use(Effect.succeed, 2000))
      yield* TestClock.adjust("1 second")
      const first = established("first")
      current.set(first)
      current.leave(first)
      yield* TestClock.adjust("999 millis")
      expect(use.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "NotConnected", state: { _tag: "Restarting" } })
    })
  )
})

describe("waiters that are interrupted", () => {
  it.effect("leave nothing behind", () =>
    Effect.gen(function* () {
      const { counts, current } = yield* make
      const waits: ReadonlyArray<Effect.Effect<string, unknown>> = [
        current.whenConnected,
        current.whenConnectedOrFailed(1),
        current.use(Effect.succeed, 1000)
      ]
      for (const wait of waits) {
        const waiters = yield* Effect.replicateEffect(Effect.fork(wait), 1000)
        yield* settle
        expect(counts.waiting).toBe(1000)
        yield* Fiber.interruptAll(waiters)
        expect(counts.waiting).toBe(0)
      }
    })
  )
})

describe("a wait until an attempt fails", () => {
  it.effect("counts the failures from its beginning", () =>
    Effect.gen(function* () {
      const { counts, current } = yield* make
      current.attemptFailed(Exit.fail("before"))
      const waiter = yield* Effect.fork(current.whenConnectedOrFailed(2))
      yield* settle
      current.attemptFailed(Exit.fail("first"))
      yield* settle
      expect(waiter.unsafePoll()).toBeNull()
      current.attemptFailed(refused)
      yield* settle
      expect(waiter.unsafePoll()).toEqual(refused)
      expect(counts.waiting).toBe(0)
    })
  )

  it.effect("hears of a failure between being woken and looking again", () =>
    Effect.gen(function* () {
      const { current } = yield* make
      const waiter = yield* Effect.fork(current.whenConnectedOrFailed(1))
      yield* settle
      const first = established("first")
      current.set(first)
      current.leave(first)
      current.attemptFailed(refused)
      yield* settle
      expect(waiter.unsafePoll()).toEqual(refused)
    })
  )

  it.effect("goes on when another for the same attempt is interrupted", () =>
    Effect.gen(function* () {
      const { counts, current } = yield* make
      const interrupted = yield* Effect.fork(current.whenConnectedOrFailed(1))
      const other = yield* Effect.fork(current.whenConnectedOrFailed(1))
      yield* settle
      yield* Fiber.interrupt(interrupted)
      expect(counts.waiting).toBe(1)
      current.attemptFailed(refused)
      yield* settle
      expect(other.unsafePoll()).toEqual(refused)
    })
  )
})

describe("whoever asks a service at its end", () => {
  it.effect("fails, and so do those who wait", () =>
    Effect.gen(function* () {
      const { counts, current } = yield* make
      const waiters = yield* Effect.all([
        Effect.fork(current.whenConnected),
        Effect.fork(current.whenConnectedOrFailed(3)),
        Effect.fork(current.use(Effect.succeed, 1000)),
        Effect.fork(current.useAsync((protocol, resume) => resume(Effect.succeed(protocol)), 1000)),
        Effect.fork(Stream.runDrain(current.connections))
      ])
      yield* settle
      current.turnAway(stopped)
      // By the time that they go on, others may be admitted again.
      current.admit()
      yield* settle
      for (const waiter of waiters) expect(waiter.unsafePoll()).toEqual(Exit.fail(stopped))
      current.turnAway(stopped)
      expect(yield* Effect.exit(current.whenConnected)).toEqual(Exit.fail(stopped))
      expect(counts.waiting).toBe(0)
      current.admit()
      const waiter = yield* Effect.fork(current.whenConnected)
      yield* settle
      expect(waiter.unsafePoll()).toBeNull()
      yield* Fiber.interrupt(waiter)
      expect(counts.waiting).toBe(0)
    })
  )
})

const use = <A, E>(users: Users, f: () => Effect.Effect<A, E>, runtime = Runtime.defaultRuntime) =>
  Effect.uninterruptibleMask((restore) => users.run(runtime, f, restore))

const useAsync = <A, E>(users: Users, begin: AsyncUse<string, A, E>) =>
  Effect.uninterruptibleMask((restore) => users.runAsync("protocol", begin, restore))

describe("users", () => {
  it.effect("end with their connection, and say why", () =>
    Effect.gen(function* () {
      const users = new Users("test", new Changes(), undefined)
      const uninterruptible = Runtime.disableRuntimeFlag(yield* Effect.runtime<never>(), RuntimeFlags.Interruption)
      const callers = yield* Effect.forEach(
        [
          use(users, () => Effect.never),
          use(users, () => Effect.never, uninterruptible),
          useAsync(users, fromPromise({ try: () => new Promise<string>(() => {}), catch: String }))
        ],
        Effect.fork
      )
      yield* settle
      expect(users.size).toBe(3)
      users.end("why")
      yield* settle
      expect(users.size).toBe(0)
      const lost = new ConnectionError.ConnectionLost({ service: "test", cause: "why" })
      expect(yield* Effect.forEach(callers, Fiber.await)).toEqual([lost, lost, lost].map(Exit.fail))
    })
  )

  it.effect("that end in the step that they begin in are none any more", () =>
    Effect.gen(function* () {
      const users = new Users("test", new Changes(), undefined)
      const thrown = (): Effect.Effect<never> => {
        throw "thrown"
      }
      const exits = yield* Effect.forEach(
        [use(users, () => Effect.succeed(1)), use(users, () => Effect.fail("no")), use(users, thrown)],
        Effect.exit
      )
      expect(users.size).toBe(0)
      expect(exits).toEqual([Exit.succeed(1), Exit.fail("no"), Exit.failCause(Cause.die("thrown"))])
    })
  )

  it.effect("that have ended hold none of those that came after them", () =>
    Effect.gen(function* () {
      const users = new Users("test", new Changes(), undefined)
      const cleanups: Array<WeakRef<() => void>> = []
      const begin = (finish: Array<() => void>) =>
        Effect.fork(
          useAsync<number, never>(users, (_, resume) => {
            finish.push(() => resume(Effect.succeed(1)))
            const cleanup = () => void finish.length
            cleanups.push(new WeakRef(cleanup))
            return cleanup
          })
        )
      // One that is never resumed, and whose caller is gone.
      const kept: Array<() => void> = []
      const first = yield* begin(kept)
      yield* settle
      yield* Fiber.interrupt(first)
      const later: Array<() => void> = []
      yield* Effect.replicateEffect(begin(later), 100, { discard: true })
      yield* settle
      for (const finish of later.splice(0)) finish()
      yield* settle
      yield* use(users, () => Effect.void)
      expect(cleanups).toHaveLength(101)
      // The engine may have the last in hand.
      expect(yield* held(cleanups)).toBeLessThan(5)
      expect(kept).toHaveLength(1)
      expect(users.size).toBe(0)
    })
  )

  it.effect("call the cleanup of what loses its connection before it has given it", () =>
    Effect.gen(function* () {
      const users = new Users("test", new Changes(), undefined)
      const cleaned: Array<string> = []
      const lost = yield* Effect.flip(
        useAsync<number, never>(users, () => {
          users.end("why")
          return () => {
            cleaned.push("cleaned")
          }
        })
      )
      expect(lost._tag).toBe("ConnectionLost")
      expect(cleaned).toEqual(["cleaned"])
    })
  )

  it.effect("that lose their connection in their first step fail with that", () =>
    Effect.gen(function* () {
      const users = new Users("test", new Changes(), undefined)
      const lose = Effect.sync(() => users.end("why"))
      const lost = yield* Effect.flip(use(users, () => Effect.zipRight(lose, Effect.never)))
      expect(lost).toMatchObject({ _tag: "ConnectionLost" })
    })
  )

  it.effect("that succeed with what a failure looks like have succeeded", () =>
    Effect.gen(function* () {
      const users = new Users("test", new Changes(), undefined)
      expect(yield* use(users, () => Effect.succeed(Exit.fail("no")))).toEqual(Exit.fail("no"))
    })
  )
})

describe("a wait that has a limit", () => {
  for (const [direction, millis] of [
    ["back", -day],
    ["ahead", day]
  ] as const) {
    it.effect(
      `goes on for what is left when a connection was lost before the waiter looked, the clock ${direction}`,
      () =>
        withWallClock((wallClock) =>
          Effect.gen(function* () {
            const { current } = yield* make
            const use = yield* Effect.fork(current.use(Effect.succeed, 10_000))
            yield* TestClock.adjust("4 seconds")
            wallClock.ahead = millis
            const first = established("first")
            current.set(first)
            current.leave(first)
            yield* TestClock.adjust("5999 millis")
            expect(use.unsafePoll()).toBeNull()
            yield* TestClock.adjust("1 millis")
            expect(yield* Effect.flip(Fiber.join(use))).toMatchObject({ _tag: "NotConnected" })
          })
        )
    )
  }
})
