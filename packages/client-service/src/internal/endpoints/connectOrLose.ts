import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import { firstOf } from "../time/firstOf.js"
import type { Connectable, Signal } from "./connectable.js"

/**
 * Connects, and fails if the connection is lost before: many an endpoint has nothing else to tell that it has failed. The
 * signal hears of the loss of what is connected.
 */
export const connectOrLose = <A, E, R>(
  { connect }: Connectable<A, E, R>,
  signal: Signal<E>
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.suspend(() => {
    const lost = Deferred.unsafeMake<never, E>(FiberId.none)
    let isConnected = false
    let early: { readonly error: E | undefined } | undefined
    const own: Signal<E> = {
      lost: (error) => {
        if (isConnected) return signal.lost(error)
        early ??= { error }
        Deferred.unsafeDone(lost, error === undefined ? Exit.failCause(Cause.empty) : Exit.fail(error))
      }
    }
    return Effect.map(
      firstOf(
        Effect.suspend(() => connect(own)),
        Deferred.await(lost)
      ),
      (connection) => {
        isConnected = true
        if (early !== undefined) signal.lost(early.error)
        return connection
      }
    )
  })
