import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Gives what is in the sockets a turn of the event loop to be heard. */
export const turn: Effect.Effect<void> = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Waits for something, until a deadline has passed. The event loop may have been held up, so that has one turn more. */
export const within = (effect: Effect.Effect<void>, deadline: Duration.Duration): Effect.Effect<void> =>
  Effect.raceFirst(Effect.interruptible(effect), Effect.interruptible(Effect.zipRight(Effect.sleep(deadline), turn)))
