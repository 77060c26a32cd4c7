import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Connection } from "../connection/connection.js"
import { isEstablished } from "../connection/phase.js"
import type { Users } from "../connection/use.js"
import type { Retries } from "./retries.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

interface Surroundings<P, E, R> {
  readonly name: string
  readonly retries: Retries<E, R>
  /** All connections that are neither closed nor given up. */
  readonly open: Iterable<Connection<P, E, R>>
  /** Whether a stop lets those finish who use the connections. */
  readonly isDraining: boolean
  /** Logs a warning, once for a service. */
  readonly warnOnce: (message: string) => Effect.Effect<void>
}

/**
 * Finds a fiber that is about to wait for its own end: that of an attempt, of what closes a connection, or of a policy, which
 * calls the service that waits for it.
 */
export class SelfWaits<P, E, R> {
  readonly #surroundings: Surroundings<P, E, R>

  constructor(surroundings: Surroundings<P, E, R>) {
    this.#surroundings = surroundings
  }

  /** Whether a fiber may be such a one. Of most, there is nothing more to find out. */
  mayBe(fiber: AnyFiber): boolean {
    return this.#surroundings.retries.isAsked || this.#within(fiber).length > 0
  }

  /** Whether there are uses that a stop waits for. */
  get areUsesAwaited(): boolean {
    return this.#awaitedUsers.length > 0
  }

  /** Whether the fiber that asks is part of one of those. */
  get isWithinUse(): Effect.Effect<boolean> {
    return Effect.withFiberRuntime((fiber) => Effect.exists(this.#awaitedUsers, (users) => users.isHeldUpBy(fiber)))
  }

  /** Fails such a fiber before it waits for a connection. */
  get beforeWait(): Effect.Effect<void> | undefined {
    const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
    return fiber !== undefined && this.mayBe(fiber)
      ? Effect.zipRight(this.#beforeAnswer, this.beforeOutcome)
      : undefined
  }

  /** Fails such a fiber before it waits for an attempt to have an outcome, or for a connection to be closed. */
  get beforeOutcome(): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) =>
      Effect.forEach(
        this.#within(fiber),
        (connection) => {
          const { phase } = connection
          if (isEstablished(phase)) return Effect.void
          return Effect.flatMap(connection.isHeldUpBy(fiber), (isHeldUp) => {
            if (!isHeldUp) return Effect.void
            if (phase._tag !== "Closing") return this.#fail("an attempt to connect waits for its own connection")
            const message = "what closes a connection waits for the next one"
            // A finalizer that dies tells nobody.
            return Effect.zipRight(this.#surroundings.warnOnce(message), this.#fail(message))
          })
        },
        { discard: true }
      )
    )
  }

  /** Whether the fiber that asks is part of what a stop waits for, though that may interrupt it. */
  isHeldUp(isInterruptible: boolean): Effect.Effect<boolean> {
    return Effect.withFiberRuntime((fiber) =>
      Effect.exists(this.#within(fiber), (connection) => connection.isHeldUpBy(fiber, isInterruptible))
    )
  }

  get #awaitedUsers(): ReadonlyArray<Users> {
    const { isDraining, open } = this.#surroundings
    if (!isDraining) return []
    return [...open].flatMap(({ established }) =>
      established && established.users.size > 0 ? [established.users] : []
    )
  }

  // The connection can't come before the policy has answered.
  get #beforeAnswer(): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) =>
      Effect.flatMap(this.#surroundings.retries.isHeldUpBy(fiber), (isHeldUp) =>
        isHeldUp ? this.#fail("the retry policy waits for the connection that it is asked about") : Effect.void
      )
    )
  }

  #within(fiber: AnyFiber): ReadonlyArray<Connection<P, E, R>> {
    const within: Array<Connection<P, E, R>> = []
    for (const connection of this.#surroundings.open) if (connection.isWithin(fiber)) within.push(connection)
    return within
  }

  #fail(message: string): Effect.Effect<never> {
    return Effect.dieMessage(`${this.#surroundings.name}: ${message}`)
  }
}
