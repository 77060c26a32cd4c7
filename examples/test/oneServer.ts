import { Effect, Exit, Scope } from "effect"
import { afterAll } from "vitest"

/** What is started once, when a test of the file first asks for it, and ends after the last of them. */
export const oneServer = <A, E>(start: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> => {
  const scope = Effect.runSync(Scope.make())
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.runSync(Effect.cached(Scope.extend(start, scope)))
}
