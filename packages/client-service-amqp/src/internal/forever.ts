import * as Effect from "effect/Effect"

/** Unlike `Effect.never`, without a timer. */
export const forever = Effect.async<never>(() => {})
