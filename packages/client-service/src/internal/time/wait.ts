import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** What has begun, and can be taken back. */
export interface Pending {
  readonly cancel: Effect.Effect<unknown>
}

/** Runs an Effect in the region of the caller. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

type Resume<A, E, R> = (effect: Effect.Effect<A, E, R>) => void

/**
 * Suspends a fiber until it is resumed with an Effect to go on with. `begin` runs in one step, and what it gives, unless it
 * has resumed already, is cancelled if the fiber is interrupted before.
 *
 * It is `Effect.async` without a gap: that one can be interrupted between its registration and the moment from which its
 * cleanup is sure to run, and what was registered then stays for ever.
 */
export const wait = <A, E, R>(begin: (resume: Resume<A, E, R>) => Pending | undefined): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    const suspension = new Suspension<A, E, R>()
    suspension.pending = begin((effect) => suspension.resume(effect))
    return suspension.outcome(restore)
  })

/** A fiber that is to be resumed, of what has begun in an uninterruptible region. */
export class Suspension<A, E, R> {
  pending: Pending | undefined
  #next: Effect.Effect<A, E, R> | undefined
  #wake: Resume<A, E, R> | undefined

  /** Takes back what has begun. */
  get cancel(): Effect.Effect<unknown> {
    return this.pending?.cancel ?? Effect.void
  }

  resume(effect: Effect.Effect<A, E, R>): void {
    if (this.#next !== undefined) return
    this.#next = effect
    this.#wake?.(effect)
  }

  /** What the fiber goes on with. It is to be returned in the step in which all began. */
  outcome(restore: Restore): Effect.Effect<A, E, R> {
    const next = this.#next
    if (next !== undefined) return Exit.isExit(next) ? next : restore(next)
    const woken = Effect.async<A, E, R>((resume) => {
      if (this.#next === undefined) this.#wake = resume
      else resume(this.#next)
    })
    return Effect.catchAllCause(restore(woken), (cause) =>
      this.#next === undefined ? Effect.zipRight(this.cancel, Effect.failCause(cause)) : Effect.failCause(cause)
    )
  }
}
