import * as Effect from "effect/Effect"
import * as MutableQueue from "effect/MutableQueue"

/** What has arrived for one reader, who takes it by steps of its own. */
export class Inbox<A> {
  readonly #arrived = MutableQueue.unbounded<A>()
  #wake = (): void => {}

  readonly offer = (element: A): void => {
    MutableQueue.offer(this.#arrived, element)
    this.#wake()
  }

  take(): A | undefined {
    return MutableQueue.poll(this.#arrived, undefined)
  }

  /** Waits until there is something, be it that it has come since the reader has looked. */
  readonly arrival: Effect.Effect<void> = Effect.async((resume) => {
    this.#wake = () => {
      this.#wake = () => {}
      resume(Effect.void)
    }
    if (!MutableQueue.isEmpty(this.#arrived)) this.#wake()
  })
}
