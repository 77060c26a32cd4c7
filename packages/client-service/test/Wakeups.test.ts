import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream, TestClock } from "effect"
import { ClientService, RetryPolicy, TestEndpoint, Wakeups } from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withWallClock } from "./support/wallClock.js"

/** Puts something in the place of a global, for as long as the Scope is open. */
const withGlobal = (name: string, value: unknown) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.getOwnPropertyDescriptor(globalThis, name)
      Object.defineProperty(globalThis, name, { configurable: true, value })
      return before
    }),
    (before) =>
      Effect.sync(() => {
        if (before === undefined) Reflect.deleteProperty(globalThis, name)
        else Object.defineProperty(globalThis, name, before)
      })
  )

/** A browser, as far as there is one to listen to. */
const makeBrowser = Effect.gen(function* () {
  const window = new EventTarget()
  const counts = { listeners: 0 }
  const counting = (target: EventTarget) => ({
    addEventListener: (type: string, listener: (event: Event) => void) => {
      counts.listeners += 1
      target.addEventListener(type, listener)
    },
    removeEventListener: (type: string, listener: (event: Event) => void) => {
      counts.listeners -= 1
      target.removeEventListener(type, listener)
    }
  })
  const page = new EventTarget()
  const document = { ...counting(page), visibilityState: "visible" }
  const { addEventListener, removeEventListener } = counting(window)
  yield* withGlobal("addEventListener", addEventListener)
  yield* withGlobal("removeEventListener", removeEventListener)
  yield* withGlobal("document", document)
  return { counts, document, page, window }
})

describe("Wakeups", () => {
  // Kind 16
  it.scoped("are the events of a browser, as far as they are ones, and leave no listener behind", () =>
    Effect.gen(function* () {
      const { counts, document, page, window } = yield* makeBrowser
      const seen: Array<Wakeups.Wakeup> = []
      const watching = yield* Effect.fork(
        Stream.runForEach(Wakeups.any, (wakeup) => Effect.sync(() => seen.push(wakeup)))
      )
      yield* settle
      expect(counts.listeners).toBe(3)
      for (const event of [
        () => window.dispatchEvent(new Event("online")),
        () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false })),
        () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })),
        () => page.dispatchEvent(new Event("visibilitychange"))
      ]) {
        event()
        yield* settle
      }
      document.visibilityState = "hidden"
      page.dispatchEvent(new Event("visibilitychange"))
      yield* settle
      expect(seen).toEqual(["Online", "PageShown", "Visible"])
      yield* Fiber.interrupt(watching)
      expect(counts.listeners).toBe(0)
    })
  )

  // Kind 16
  it.scoped("have nothing to tell where there is no browser", () =>
    Effect.gen(function* () {
      const streams = [Wakeups.online, Wakeups.visible, Wakeups.pageShown]
      const watching = yield* Effect.forEach(streams, (stream) => Effect.fork(Stream.runHead(stream)))
      yield* settle
      for (const fiber of watching) expect(fiber.unsafePoll()).toBeNull()
      yield* Fiber.interruptAll(watching)
    })
  )

  // Kind 16
  it.effect("tell of a clock that jumps ahead, and not of one that is late, or set back", () =>
    withWallClock((wallClock) =>
      Effect.gen(function* () {
        const jumps: Array<number> = []
        const noted = Effect.clockWith((clock) =>
          Effect.sync(() => jumps.push(Number(clock.unsafeCurrentTimeNanos()) / 1e6))
        )
        yield* Effect.fork(Stream.runForEach(Wakeups.clockJumps(), () => noted))
        yield* settle
        yield* TestClock.adjust("1 hour")
        wallClock.ahead -= 8 * 60 * 60 * 1000
        yield* TestClock.adjust("1 minute")
        wallClock.ahead += 59_999
        yield* TestClock.adjust("1 minute")
        expect(jumps).toEqual([])
        wallClock.ahead += 60_000
        yield* TestClock.adjust("1 minute")
        expect(jumps).toEqual([3_730_000])
        yield* TestClock.adjust("1 hour")
        expect(jumps).toHaveLength(1)
      })
    )
  )

  // Kind 16
  it.effect("look as often, and leave as much, as they are told to", () =>
    withWallClock((wallClock) =>
      Effect.gen(function* () {
        const options = { interval: "1 second", least: "5 seconds" } as const
        const jump = yield* Effect.fork(Stream.runHead(Wakeups.clockJumps(options)))
        yield* TestClock.adjust("1500 millis")
        wallClock.ahead += 5000
        yield* TestClock.adjust("499 millis")
        expect(jump.unsafePoll()).toBeNull()
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(jump)
        expect(() => Wakeups.clockJumps({ interval: 0 })).toThrow("Wakeups.clockJumps: interval must be")
        expect(() => Wakeups.clockJumps({ least: 0 })).toThrow("Wakeups.clockJumps: least must be")
      })
    )
  )

  // Kind 16
  it.scoped("after a jump of eight hours one probe runs, and what is dead is replaced within its timeout", () =>
    withWallClock((wallClock) =>
      Effect.gen(function* () {
        const probes: Array<string> = []
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          retryPolicy: RetryPolicy.fromFunction(() => "1 minute"),
          heartbeat: {
            probe: (protocol) => {
              probes.push(protocol)
              return protocol === "dead" ? Effect.never : Effect.void
            },
            interval: "1 hour",
            timeout: "5 seconds"
          }
        })
        yield* service.start
        yield* server.accept("alive")
        yield* awaitState(service, "Connected")
        yield* Effect.fork(service.pipe(ClientService.checkOn(Wakeups.any)))
        yield* TestClock.adjust("1 minute")
        expect(probes).toEqual([])
        wallClock.ahead += 8 * 60 * 60 * 1000
        yield* TestClock.adjust("1 minute")
        expect(probes).toEqual(["alive"])
        expect(yield* service.whenConnected()).toBe("alive")
        yield* service.reconnect
        yield* server.accept("dead")
        yield* TestClock.adjust("1 minute")
        wallClock.ahead += 8 * 60 * 60 * 1000
        yield* TestClock.adjust("10 seconds")
        expect(probes).toEqual(["alive", "dead"])
        yield* TestClock.adjust("5 seconds")
        expect(yield* server.attempts).toBe(3)
        yield* server.accept("new")
        expect(yield* service.whenConnected()).toBe("new")
      })
    )
  )
})
