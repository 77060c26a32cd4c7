/**
 * Tells whoever has subscribed that something may have changed. To subscribe and to go again takes constant time and leaves
 * nothing behind, unlike to wait for a Deferred, with its list of joiners.
 */
export class Changes {
  #subscribers: Set<() => void> | undefined

  /** Has a callback called at every change, until what this gives is called. */
  subscribe(changed: () => void): () => void {
    this.#subscribers ??= new Set()
    this.#subscribers.add(changed)
    return () => {
      this.#subscribers?.delete(changed)
      if (this.#subscribers?.size === 0) this.#subscribers = undefined
    }
  }

  notify(): void {
    if (this.#subscribers !== undefined) for (const changed of this.#subscribers) changed()
  }
}
