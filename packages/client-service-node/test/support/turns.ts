import { Effect } from "effect"

/** Runs something after so many turns of the event loop. */
export const after = (turns: number, run: () => void): void => {
  setImmediate(() => (turns === 0 ? run() : after(turns - 1, run)))
}

/** Waits for so many turns of the event loop. */
export const turns = (n: number): Effect.Effect<void> => Effect.async((resume) => after(n, () => resume(Effect.void)))

/** A turn of the event loop. */
export const turn: Effect.Effect<void> = turns(0)

/** Waits until something holds, and looks at every turn of the event loop. */
export const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.zipRight(turn, until(holds))))
