import * as Effect from "effect/Effect"
import { wait } from "./wait.js"

/**
 * Tells whoever has subscribed that something may have changed, once. Each can be interrupted in constant time and leaves
 * nothing behind, which a Deferred, with its list of joiners, does not do.
 */
export class Changes {
  #waiting: Set<() => void> | undefined

  /** Has a callback called at the next change, and gives what takes that back. */
  subscribe(wake: () => void): () => void {
    this.#waiting ??= new Set()
    this.#waiting.add(wake)
    return () => {
      this.#waiting?.delete(wake)
    }
  }

  notify(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) for (const wake of waiting) wake()
  }
}

/** Waits until a condition holds that is looked at at every change. */
export const waitUntil = (changes: Changes, holds: () => boolean): Effect.Effect<void> =>
  wait((resume) => {
    let unsubscribe = () => {}
    const look = () => {
      if (holds()) resume(Effect.void)
      else unsubscribe = changes.subscribe(look)
    }
    look()
    return { cancel: Effect.sync(() => unsubscribe()) }
  })
