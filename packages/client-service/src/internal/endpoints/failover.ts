import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type EndpointFailure, EndpointsFailed } from "../../EndpointsFailed.js"
import { AttemptStatus } from "../connection/attemptStatus.js"
import { originals } from "../connection/originals.js"
import type { Connectable, Signal } from "./connectable.js"
import { connectOrLose } from "./connectOrLose.js"
import { type Try, Trying } from "./tries.js"

interface Round<E> {
  tried: number
  failures: ReadonlyArray<EndpointFailure<E>>
  /** Whether the last attempt has led to a connection that came up. */
  cameUp: () => boolean
}

/**
 * Connects to the next endpoint at each attempt, and to the first again after a connection that came up or a full round.
 */
export const failover = <A, E, R>(
  endpoints: ReadonlyArray<Connectable<A, E, R>>
): ((signal: Signal<E>) => Effect.Effect<A, EndpointsFailed<E>, R | Scope.Scope>) => {
  const begin = (): Round<E> => ({ tried: 0, failures: [], cameUp: () => false })
  let latest = begin()

  return (signal) =>
    Effect.gen(function* () {
      const status = yield* AttemptStatus
      // Asked here rather than when the connection ends: it may be closed later than the next attempt begins.
      if (latest.tried >= endpoints.length || latest.cameUp()) latest = begin()
      const round = latest
      const endpoint = endpoints[round.tried]
      if (endpoint === undefined) return yield* new EndpointsFailed({ failures: round.failures })
      round.tried += 1
      const own: Try = { endpoint: endpoint.name }
      const whole = (yield* Trying) ?? status
      whole.tries = [...round.failures, own]
      let outcome: "pending" | "connected" | "failed" = "pending"
      round.cameUp = () => outcome === "connected" && status.isEstablished

      const failed = (cause: Cause.Cause<E>) => {
        outcome = "failed"
        round.failures = [...round.failures, { endpoint: endpoint.name, cause: originals(cause) }]
      }
      // What fails later than the endpoint itself, be it `prepare` or by `connectTimeout`, is known from the Scope alone.
      yield* Effect.addFinalizer((exit) =>
        Effect.sync(() => {
          if (outcome === "failed" || status.isEstablished || Exit.isSuccess(exit)) return
          if (!Cause.isInterruptedOnly(exit.cause)) failed(Cause.die(Cause.squash(exit.cause)))
        })
      )
      const connecting = Effect.provideService(connectOrLose(endpoint, signal), Trying, own)
      const connection = yield* Effect.catchAllCause(connecting, (cause) => {
        failed(cause)
        return new EndpointsFailed({ failures: round.failures, untried: endpoints.length - round.tried })
      })
      outcome = "connected"
      return connection
    })
}
