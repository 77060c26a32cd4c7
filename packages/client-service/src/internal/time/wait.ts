import * as Effect from "effect/Effect"

/**
 * Suspends a fiber until it is resumed with an Effect to go on with. `begin` runs in one step and gives what takes it
 * back, which runs if the fiber is interrupted before.
 *
 * It is `Effect.async` without a gap: that one can be interrupted between its registration and the moment from which its
 * cleanup is sure to run, and what was registered then stays for ever.
 */
export const wait = <A, E, R>(
  begin: (resume: (effect: Effect.Effect<A, E, R>) => void) => Effect.Effect<unknown>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    let next: Effect.Effect<A, E, R> | undefined
    let wake: (() => void) | undefined
    const cancel = begin((effect) => {
      if (next !== undefined) return
      next = effect
      wake?.()
    })
    if (next !== undefined) return restore(next)
    const woken = Effect.async<Effect.Effect<A, E, R>>((resume) => {
      wake = () => resume(Effect.succeed(next ?? Effect.never))
      if (next !== undefined) wake()
    })
    return Effect.matchCauseEffect(restore(woken), {
      onFailure: (cause) => Effect.zipRight(cancel, Effect.failCause(cause)),
      onSuccess: restore
    })
  })
