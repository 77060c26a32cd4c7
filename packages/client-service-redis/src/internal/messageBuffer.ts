import type * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"

/**
 * What a subscription has received and its consumer has not taken yet. When it is full, what comes is dropped until the
 * consumer has taken all, which then gets a gap in its place.
 */
export class MessageBuffer<A, E> {
  readonly #capacity: number
  readonly #gap: (() => A) | undefined
  #elements: Array<A> = []
  #isMissing = false
  #end: Cause.Cause<E> | undefined
  #wake = (): void => {}

  constructor(capacity: number, gap: (() => A) | undefined) {
    this.#capacity = capacity
    this.#gap = gap
  }

  offer(element: A): void {
    if (this.#elements.length < this.#capacity && !this.#isMissing) this.#elements.push(element)
    else this.#isMissing = true
    this.#wake()
  }

  end(cause: Cause.Cause<E>): void {
    this.#end = cause
    this.#wake()
  }

  /** Waits until there is something, and takes all of it. For one consumer. */
  readonly take: Effect.Effect<Chunk.Chunk<A>, E> = Effect.suspend(() => {
    const elements = this.#elements
    if (this.#isMissing && this.#gap !== undefined) elements.push(this.#gap())
    this.#isMissing = false
    this.#elements = []
    if (elements.length > 0) return Effect.succeed(Chunk.unsafeFromArray(elements))
    if (this.#end !== undefined) return Effect.failCause(this.#end)
    return Effect.zipRight(this.#more, this.take)
  })

  readonly #more = Effect.async<void>((resume) => {
    this.#wake = () => resume(Effect.void)
    // It may have come since `take` has looked.
    if (this.#elements.length > 0 || this.#isMissing || this.#end !== undefined) this.#wake()
    return Effect.sync(() => {
      this.#wake = () => {}
    })
  })
}
