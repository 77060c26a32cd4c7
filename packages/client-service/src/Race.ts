/**
 * Two Effects, of which the first to end decides, for endpoints, protocols and drivers of your own.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Internal from "./internal/time/firstOf.js"

/**
 * Gives what comes of the first of two Effects that ends, be it a failure, and interrupts the other, which it waits for.
 *
 * It is `Effect.raceFirst` for what must not hang: that one waits for ever where it is interrupted between the moment at which
 * it makes its two fibers and the one at which it starts them. So does `Effect.race`, and `Effect.timeout` and the like for as
 * long as they are given. Fibers of the two do not change the `FiberRef`s of the caller.
 * Where the caller can't be interrupted, such as in a finalizer, nor can they, unless they are made `Effect.interruptible`.
 *
 * @example
 * ```ts
 * import { Deferred, Effect } from "effect"
 * import { Race } from "effect-client-service"
 *
 * declare const answer: Effect.Effect<string>
 * declare const lost: Deferred.Deferred<never, Error>
 *
 * const answered = Race.firstOf(answer, Deferred.await(lost))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const firstOf: {
  <A2, E2, R2>(
    that: Effect.Effect<A2, E2, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R | R2>
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    that: Effect.Effect<A2, E2, R2>
  ): Effect.Effect<A | A2, E | E2, R | R2>
} = /* @__PURE__ */ dual(2, Internal.firstOf)
