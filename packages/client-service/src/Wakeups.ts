/**
 * When there is reason to doubt that a peer is still there, as streams for `ClientService.checkOn`: the network is back, a page
 * is shown again, a laptop or a function has slept.
 *
 * Each is there everywhere, and has no elements where the platform does not tell, as that of the browser on a server.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Validate from "./internal/options.js"
import { propertyOf } from "./internal/propertyOf.js"
import { monotonic } from "./internal/time/monotonic.js"
import { sleep } from "./internal/time/sleep.js"

/**
 * What has happened.
 *
 * - `Online`: the system has a network again.
 * - `Visible`: the page is shown, after it was hidden.
 * - `PageShown`: the page is back from the cache of the browser, in which it was frozen.
 * - `ClockJumped`: more time has passed than a timer took.
 * - `Continued`: the process goes on, after it was stopped.
 *
 * @since 0.1.0
 * @category models
 */
export type Wakeup = "Online" | "Visible" | "PageShown" | "ClockJumped" | "Continued"

/**
 * The network is back: the event `online` of a browser's window or worker.
 *
 * @since 0.1.0
 * @category streams
 */
export const online: Stream.Stream<Wakeup> = /* @__PURE__ */ Stream.suspend(() =>
  events(globalThis, "online", () => "Online")
)

/**
 * The page is shown again: the event `visibilitychange` of a browser's document, when that has become visible.
 *
 * @since 0.1.0
 * @category streams
 */
export const visible: Stream.Stream<Wakeup> = /* @__PURE__ */ Stream.suspend(() => {
  const document = propertyOf(globalThis, "document")
  return events(document, "visibilitychange", () =>
    propertyOf(document, "visibilityState") === "visible" ? "Visible" : undefined
  )
})

/**
 * The page is back from the cache in which it was frozen: the event `pageshow` of a browser's window, if it was.
 *
 * @since 0.1.0
 * @category streams
 */
export const pageShown: Stream.Stream<Wakeup> = /* @__PURE__ */ Stream.suspend(() =>
  events(globalThis, "pageshow", (event) => (propertyOf(event, "persisted") === true ? "PageShown" : undefined))
)

/**
 * More time has passed than a timer of `interval` took, by `least` or more: the system has slept, or the process was frozen. It
 * looks at the wall clock, which goes on in a sleep, and at the monotonic one, which is proof against being set but stands
 * still in the sleep of some systems. A wall clock that is set ahead is taken for a sleep; one that is set back is not.
 *
 * @since 0.1.0
 * @category streams
 * @throws InvalidOption
 */
export const clockJumps = (options?: {
  /** How often to look. More than zero. Default 10 seconds. */
  readonly interval?: Duration.DurationInput | undefined
  /**
   * How much more must have passed. More than zero. Default 1 minute, since the timers of a page that is hidden, or of a process
   * that computes, are late by themselves.
   */
  readonly least?: Duration.DurationInput | undefined
}): Stream.Stream<Wakeup> => {
  const where = "Wakeups.clockJumps"
  const interval = Duration.toMillis(Validate.positiveDuration(where, "interval", options?.interval ?? "10 seconds"))
  const least = Duration.toMillis(Validate.positiveDuration(where, "least", options?.least ?? "1 minute"))
  const jumped = (clock: Clock.Clock): Effect.Effect<Wakeup> =>
    Effect.suspend(() => {
      const times = () => [clock.unsafeCurrentTimeMillis(), monotonic(clock)] as const
      const [wall, since] = times()
      return Effect.flatMap(sleep(interval), () => {
        const [wallNow, now] = times()
        const passed = Math.max(wallNow - wall, now - since)
        return passed - interval >= least ? Effect.succeed("ClockJumped") : jumped(clock)
      })
    })
  return Stream.unwrap(Effect.map(Effect.clock, (clock) => Stream.repeatEffect(jumped(clock))))
}

/**
 * All that the platform tells of, and the jumps of its clock.
 *
 * @since 0.1.0
 * @category streams
 */
export const any: Stream.Stream<Wakeup> = /* @__PURE__ */ Stream.suspend(() =>
  Stream.mergeAll([online, visible, pageShown, clockJumps()], { concurrency: "unbounded" })
)

const events = (
  target: unknown,
  type: string,
  wakeup: (event: unknown) => Wakeup | undefined
): Stream.Stream<Wakeup> =>
  isEventTarget(target)
    ? Stream.asyncPush<Wakeup>(
        (emit) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const listener = (event: unknown) => {
                const happened = wakeup(event)
                if (happened !== undefined) emit.single(happened)
              }
              target.addEventListener(type, listener)
              return listener
            }),
            (listener) => Effect.sync(() => target.removeEventListener(type, listener))
          ),
        // However many there are, they all say the same.
        { bufferSize: 1, strategy: "sliding" }
      )
    : Stream.never

/** What there is of a window, a worker or a document. */
interface EventTarget {
  readonly addEventListener: (type: string, listener: (event: unknown) => void) => void
  readonly removeEventListener: (type: string, listener: (event: unknown) => void) => void
}

const isEventTarget = (target: unknown): target is EventTarget =>
  typeof propertyOf(target, "addEventListener") === "function" &&
  typeof propertyOf(target, "removeEventListener") === "function"
