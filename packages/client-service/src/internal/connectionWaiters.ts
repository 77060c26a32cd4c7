import * as Effect from "effect/Effect"
import { Waiters } from "./waiters.js"

/**
 * The fibers that wait for a connection: some for as long as the service goes on (`E`), some only until a number of
 * attempts have failed (`F`).
 */
export class ConnectionWaiters<E, F> {
  private failedAttempts = 0
  private readonly patient = new Waiters<void, E>()
  private readonly untilFailure = new Map<number, Waiters<void, E | F>>()

  readonly wait: Effect.Effect<void, E> = this.patient.wait

  /** Waits until a connection, or the failure that has this number. */
  waitUntilFailure(number: number): Effect.Effect<void, E | F> {
    return Effect.suspend(() => {
      const waiters = this.untilFailure.get(number) ?? new Waiters<void, E | F>()
      this.untilFailure.set(number, waiters)
      const forget = Effect.sync(() => {
        if (waiters.size === 0) this.untilFailure.delete(number)
      })
      return Effect.onInterrupt(waiters.wait, () => forget)
    })
  }

  /** The number of the attempt that fails as the n-th from now. */
  failureFromNow(n: number): number {
    return this.failedAttempts + n
  }

  attemptFailed(failure: Effect.Effect<never, F>): void {
    this.failedAttempts += 1
    const waiters = this.untilFailure.get(this.failedAttempts)
    this.untilFailure.delete(this.failedAttempts)
    waiters?.resumeAll(failure)
  }

  resumeAll(effect: Effect.Effect<void, E>): void {
    this.patient.resumeAll(effect)
    for (const waiters of this.untilFailure.values()) waiters.resumeAll(effect)
    this.untilFailure.clear()
  }

  get size(): number {
    return [...this.untilFailure.values()].reduce((sum, waiters) => sum + waiters.size, this.patient.size)
  }
}
