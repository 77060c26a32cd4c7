import * as Effect from "effect/Effect"

type Resume<A, E> = (effect: Effect.Effect<A, E>) => void

/**
 * Fibers that wait to be resumed together. Each can be interrupted in constant time and leaves nothing behind, which a
 * Deferred, with its list of joiners, does not do.
 */
export class Waiters<A = void, E = never> {
  #waiting: Set<(effect?: Effect.Effect<A, E>) => void> | undefined
  readonly #counted: ((more: number) => void) | undefined

  /** The callback is told how many more wait, or fewer. */
  constructor(counted?: (more: number) => void) {
    this.#counted = counted
  }

  get size(): number {
    return this.#waiting?.size ?? 0
  }

  /**
   * Waits to be resumed, unless the condition holds already, and goes on with an Effect. The condition is looked at in
   * the very step that the wait begins in: a fiber may be held up between any two.
   */
  waitUnless(holds: () => boolean, goOn: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.async((resume: Resume<A, E>) => {
      if (holds()) return resume(goOn)
      return Effect.sync(this.subscribe((effect = goOn) => resume(effect)))
    })
  }

  /** Has a callback called when all are resumed, and gives what takes that back. */
  subscribe(waiter: (effect?: Effect.Effect<A, E>) => void): () => void {
    this.#waiting ??= new Set()
    this.#waiting.add(waiter)
    this.#counted?.(1)
    return () => {
      if (this.#waiting?.delete(waiter)) this.#counted?.(-1)
    }
  }

  /** Has all go on. */
  resumeAll(): void {
    for (const waiter of this.#take()) waiter()
  }

  /** Has all go on with an Effect that is not theirs. */
  resumeAllWith(effect: Effect.Effect<A, E>): void {
    for (const waiter of this.#take()) waiter(effect)
  }

  #take(): Iterable<(effect?: Effect.Effect<A, E>) => void> {
    const waiting = this.#waiting ?? []
    if (this.#waiting !== undefined) this.#counted?.(-this.#waiting.size)
    this.#waiting = undefined
    return waiting
  }
}

/** Waits until a condition holds that is looked at whenever the waiters are resumed. */
export const waitUntil = (waiters: Waiters, holds: () => boolean): Effect.Effect<void> => {
  const look: Effect.Effect<void> = Effect.suspend(() => (holds() ? Effect.void : waiters.waitUnless(holds, look)))
  return look
}
