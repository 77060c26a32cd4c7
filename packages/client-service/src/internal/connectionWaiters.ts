import * as Effect from "effect/Effect"
import { Waiters } from "./waiters.js"

/**
 * The fibers that wait for a connection: some for as long as the service goes on (`E`), some only until a number of
 * attempts have failed (`F`).
 */
export class ConnectionWaiters<E, F> {
  private failedAttempts = 0
  private lastFailure: Effect.Effect<never, F> = Effect.never
  private readonly patient = new Waiters<E>()
  private readonly untilFailure = new Map<number, Waiters<E | F>>()

  /** Waits to be resumed, unless the condition holds already. */
  wait(holds: () => boolean): Effect.Effect<void, E> {
    return this.patient.waitUnless(holds)
  }

  /** Waits likewise, but fails with the attempt whose failure has this number. */
  waitUntilFailure(number: number, holds: () => boolean): Effect.Effect<void, E | F> {
    return Effect.suspend(() => {
      // The attempt may have failed while this fiber was held up.
      if (number <= this.failedAttempts) return this.lastFailure
      const waiters = this.untilFailure.get(number) ?? new Waiters<E | F>()
      this.untilFailure.set(number, waiters)
      const forget = Effect.sync(() => {
        if (waiters.size === 0 && this.untilFailure.get(number) === waiters) this.untilFailure.delete(number)
      })
      return Effect.onInterrupt(
        waiters.waitUnless(() => holds() || number <= this.failedAttempts),
        () => forget
      )
    })
  }

  /** The number of the attempt that fails as the n-th from now. */
  failureFromNow(n: number): number {
    return this.failedAttempts + n
  }

  attemptFailed(failure: Effect.Effect<never, F>): void {
    this.failedAttempts += 1
    this.lastFailure = failure
    const waiters = this.untilFailure.get(this.failedAttempts)
    this.untilFailure.delete(this.failedAttempts)
    waiters?.resumeAll(failure)
  }

  resumeAll(effect: Effect.Effect<void, E>): void {
    this.patient.resumeAll(effect)
    for (const waiters of this.untilFailure.values()) waiters.resumeAll(effect)
    this.untilFailure.clear()
  }
}
