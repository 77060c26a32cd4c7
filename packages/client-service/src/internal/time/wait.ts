import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** What has begun, and can be taken back. */
export interface Pending {
  readonly cancel: Effect.Effect<unknown>
}

/**
 * Suspends a fiber until it is resumed with an Effect to go on with. `begin` runs in one step, and what it gives, unless it
 * has resumed already, is cancelled if the fiber is interrupted before.
 *
 * It is `Effect.async` without a gap: that one can be interrupted between its registration and the moment from which its
 * cleanup is sure to run, and what was registered then stays for ever.
 */
export const wait = <A, E, R>(
  begin: (resume: (effect: Effect.Effect<A, E, R>) => void) => Pending | undefined
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    let next: Effect.Effect<A, E, R> | undefined
    let wake: ((effect: Effect.Effect<A, E, R>) => void) | undefined
    const pending = begin((effect) => {
      if (next !== undefined) return
      next = effect
      wake?.(effect)
    })
    if (next !== undefined) return Exit.isExit(next) ? next : restore(next)
    const woken = Effect.async<A, E, R>((resume) => {
      if (next !== undefined) return resume(next)
      wake = resume
    })
    return Effect.catchAllCause(restore(woken), (cause) =>
      next === undefined && pending ? Effect.zipRight(pending.cancel, Effect.failCause(cause)) : Effect.failCause(cause)
    )
  })
