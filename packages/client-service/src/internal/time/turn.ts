import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import { sleep } from "./sleep.js"

/** Has a callback called once the event loop has looked at the sockets. It is not a matter of time, hence not of the Clock. */
export const nextTurn = (callback: () => void): void => {
  const { setTimeout, setImmediate = setTimeout }: Timers = globalThis
  setImmediate(callback)
}

/** Gives what has arrived a turn to be heard. */
export const turn: Effect.Effect<void> = /* @__PURE__ */ Effect.async<void>((resume) =>
  nextTurn(() => resume(Effect.void))
)

/**
 * Sleeps until a deadline has passed. The event loop may have been held up meanwhile, and what came in time be still in
 * the sockets, so that has one turn more; but on a clock that a test moves, where no time passes unseen.
 */
export const deadline = (millis: number): Effect.Effect<void> =>
  Effect.zipRight(
    sleep(millis),
    Effect.clockWith((clock) => (clock === Context.get(DefaultServices.liveServices, Clock.Clock) ? turn : Effect.void))
  )

/** What Node.js has, and what there is in browsers. */
interface Timers {
  readonly setTimeout: (callback: () => void) => unknown
  readonly setImmediate?: (callback: () => void) => unknown
}
