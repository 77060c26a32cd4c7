import * as Effect from "effect/Effect"

/** An option that is given, or made at every attempt. */
export type Fresh<A, E, R> = A | Effect.Effect<A, E, R>

export const isFresh = <A, E, R>(option: Fresh<A, E, R>): option is Effect.Effect<A, E, R> => Effect.isEffect(option)

export const asEffect = <A, E, R>(option: Fresh<A, E, R>): Effect.Effect<A, E, R> =>
  isFresh(option) ? option : Effect.succeed(option)
