import * as Effect from "effect/Effect"
import { Waiters } from "./waiters.js"

/**
 * The fibers that wait for a connection: some for as long as the service goes on (`E`), some only until a number of
 * attempts have failed (`F`).
 */
export class ConnectionWaiters<A, E, F> {
  #failedAttempts = 0
  #lastFailure: Effect.Effect<never, F> = Effect.never
  readonly #counted: (more: number) => void
  readonly #patient: Waiters<A, E>
  readonly #untilFailure = new Map<number, Waiters<A, E | F>>()

  /** The callback is told how many more wait, or fewer. */
  constructor(counted: (more: number) => void) {
    this.#counted = counted
    this.#patient = new Waiters(counted)
  }

  /** Waits to be resumed, unless the condition holds already, and goes on with an Effect. */
  wait(holds: () => boolean, goOn: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.#patient.waitUnless(holds, goOn)
  }

  /** Waits likewise, but fails with the attempt whose failure has this number. */
  waitUntilFailure(number: number, holds: () => boolean, goOn: Effect.Effect<A, E | F>): Effect.Effect<A, E | F> {
    return Effect.suspend(() => {
      // The attempt may have failed while this fiber was held up.
      const isPast = () => number <= this.#failedAttempts
      if (isPast()) return this.#lastFailure
      const waiters = this.#untilFailure.get(number) ?? new Waiters<A, E | F>(this.#counted)
      this.#untilFailure.set(number, waiters)
      const forget = Effect.sync(() => {
        if (waiters.size === 0 && this.#untilFailure.get(number) === waiters) this.#untilFailure.delete(number)
      })
      return Effect.onInterrupt(
        waiters.waitUnless(() => holds() || isPast(), goOn),
        () => forget
      )
    })
  }

  /** The number of the attempt that fails as the n-th from now. */
  failureFromNow(n: number): number {
    return this.#failedAttempts + n
  }

  attemptFailed(failure: Effect.Effect<never, F>): void {
    this.#failedAttempts += 1
    this.#lastFailure = failure
    const waiters = this.#untilFailure.get(this.#failedAttempts)
    this.#untilFailure.delete(this.#failedAttempts)
    waiters?.resumeAllWith(failure)
  }

  /** Has all go on. */
  resumeAll(): void {
    this.#patient.resumeAll()
    for (const waiters of this.#untilFailure.values()) waiters.resumeAll()
    this.#untilFailure.clear()
  }

  /** Has all fail. */
  failAll(effect: Effect.Effect<never, E>): void {
    this.#patient.resumeAllWith(effect)
    for (const waiters of this.#untilFailure.values()) waiters.resumeAllWith(effect)
    this.#untilFailure.clear()
  }
}
