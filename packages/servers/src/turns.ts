import { Effect } from "effect"

/** Lets the event loop turn, so that what is written is sent. */
export const turns = (n: number): Effect.Effect<void> =>
  n === 0
    ? Effect.void
    : Effect.zipRight(
        Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))),
        turns(n - 1)
      )
