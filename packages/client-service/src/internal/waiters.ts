import * as Effect from "effect/Effect"

type Resume<A, E> = (effect: Effect.Effect<A, E>) => void

/**
 * Fibers that wait to be resumed together. Each can be interrupted in constant time and leaves nothing behind, which a
 * Deferred, with its list of joiners, does not do.
 */
export class Waiters<E = never> {
  private waiting = new Set<Resume<void, E>>()

  get size(): number {
    return this.waiting.size
  }

  /**
   * Waits to be resumed, unless the condition holds already. It is looked at in the very step that the wait begins in: a
   * fiber may be held up between any two.
   */
  waitUnless(holds: () => boolean): Effect.Effect<void, E> {
    return Effect.async((resume) => {
      if (holds()) return resume(Effect.void)
      this.waiting.add(resume)
      return Effect.sync(() => {
        this.waiting.delete(resume)
      })
    })
  }

  /** Waits until the condition holds, and looks at it whenever the waiters are resumed. */
  waitUntil(holds: () => boolean): Effect.Effect<void, E> {
    return Effect.flatMap(this.waitUnless(holds), () => (holds() ? Effect.void : this.waitUntil(holds)))
  }

  resumeAll(effect: Effect.Effect<void, E>): void {
    const waiting = this.waiting
    if (waiting.size === 0) return
    this.waiting = new Set()
    for (const resume of waiting) resume(effect)
  }
}
