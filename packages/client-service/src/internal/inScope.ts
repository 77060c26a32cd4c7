import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

/**
 * Gives an Effect the Scope of the connection that it is run for, so that its type does not ask for the caller's.
 */
export const inScope = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => Scope.extend(effect, scope))
