import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { ConnectionSignal, Endpoint } from "../../Endpoint.js"
import { AttemptStatus, type Stage } from "./attemptStatus.js"

/**
 * Connects, and makes the protocol, in the Scope of the connection.
 */
export const protocolOver =
  <T, E1, R1, P, E2, R2, ES>(
    endpoint: Endpoint<T, E1, R1>,
    protocol: (transport: T, signal: ConnectionSignal<ES>) => Effect.Effect<P, E2, R2 | Scope.Scope>
  ) =>
  (signal: ConnectionSignal<E1 | ES>): Effect.Effect<P, E1 | E2 | ES, R1 | Exclude<R2, Scope.Scope> | Scope.Scope> =>
    Effect.flatMap(endpoint.connect(signal), (transport) => stage("protocol", () => protocol(transport, signal)))

/**
 * Connects, and prepares what comes of it, in the Scope of the connection.
 */
export const prepared =
  <P, E, R, E3, R3>(
    connect: (signal: ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>,
    prepare: ((protocol: P) => Effect.Effect<unknown, E3, R3 | Scope.Scope>) | undefined
  ) =>
  (signal: ConnectionSignal<E>): Effect.Effect<P, E | E3, R | Exclude<R3, Scope.Scope> | Scope.Scope> =>
    prepare === undefined
      ? connect(signal)
      : Effect.tap(connect(signal), (protocol) => stage("prepare", () => prepare(protocol)))

// Gives an Effect the Scope of the connection that it is run for, so that its type does not ask for the caller's.
const stage = <A, E, R>(
  name: Stage,
  effect: () => Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.flatMap(AttemptStatus, (status) => {
    status.enter(name)
    return Effect.flatMap(Effect.scope, (scope) => Scope.extend(effect(), scope))
  })
