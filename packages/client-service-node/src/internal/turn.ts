import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Race from "effect-client-service/Race"

/** Gives what is in the sockets a turn of the event loop to be heard. */
export const turn: Effect.Effect<void> = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Sleeps until a deadline has passed. The event loop may have been held up, so what came meanwhile has one turn more. */
export const deadline = (duration: Duration.Duration): Effect.Effect<void> =>
  Effect.zipRight(Effect.sleep(duration), turn)

/** Waits for something, until a deadline has passed. */
export const within = (effect: Effect.Effect<void>, duration: Duration.Duration): Effect.Effect<void> =>
  Race.firstOf(Effect.interruptible(effect), Effect.interruptible(deadline(duration)))
