import * as Effect from "effect/Effect"

type Resume<A, E> = (effect: Effect.Effect<A, E>) => void

/**
 * Fibers that wait to be resumed together. Each can be interrupted in constant time and leaves nothing behind, which a
 * Deferred, with its list of joiners, does not do.
 */
export class Waiters<A, E = never> {
  private waiting = new Set<Resume<A, E>>()

  readonly wait: Effect.Effect<A, E> = Effect.async((resume) => {
    this.waiting.add(resume)
    return Effect.sync(() => {
      this.waiting.delete(resume)
    })
  })

  get size(): number {
    return this.waiting.size
  }

  resumeAll(effect: Effect.Effect<A, E>): void {
    const waiting = this.waiting
    if (waiting.size === 0) return
    this.waiting = new Set()
    for (const resume of waiting) resume(effect)
  }
}
