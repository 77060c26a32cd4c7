import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal, Endpoint } from "../Endpoint.js"
import { type EndpointFailure, EndpointsFailed } from "../EndpointsFailed.js"
import { AttemptStatus } from "./attemptStatus.js"

/**
 * Connects to the next endpoint at each attempt, and to the first again after a connection that came up or a full round.
 */
export const failover = <A, E, R>(
  endpoints: ReadonlyArray<Endpoint<A, E, R>>
): ((signal: ConnectionSignal<E>) => Effect.Effect<A, EndpointsFailed<E>, R | Scope.Scope>) => {
  let round = endpoints
  let failures: ReadonlyArray<EndpointFailure<E>> = []
  const restart = () => {
    round = endpoints
    failures = []
  }

  return (signal) =>
    Effect.gen(function* () {
      if (round.length === 0) restart()
      const [endpoint, ...rest] = round
      if (endpoint === undefined) return yield* new EndpointsFailed({ failures })
      round = rest
      const status = yield* AttemptStatus
      yield* Effect.addFinalizer(() => Effect.sync(() => status.isEstablished && restart()))
      return yield* Effect.catchAllCause(endpoint.connect(signal), (cause) => {
        failures = [...failures, { endpoint: endpoint.name, cause }]
        return Cause.isInterruptedOnly(cause) ? Effect.interrupt : new EndpointsFailed({ failures })
      })
    })
}
