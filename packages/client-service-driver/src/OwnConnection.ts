/**
 * A connection besides that of a service, for what several callers can't share.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { ConnectionLost } from "effect-client-service/ConnectionError"
import type { ConnectionSignal } from "effect-client-service/Endpoint"

/**
 * Opens a connection, runs an Effect with it, and closes it in the end. If the connection is lost before, fails with a
 * `ConnectionLost` of the service, whose cause is what the signal was told, whatever the Effect has failed with for that.
 *
 * @since 0.1.0
 * @category running
 */
export const use = <Connection, E, A, E2, R>(
  service: string,
  open: (signal: ConnectionSignal<E>) => Effect.Effect<Connection, E, Scope.Scope>,
  f: (connection: Connection) => Effect.Effect<A, E2, R>
): Effect.Effect<A, E | E2 | ConnectionLost, R> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) =>
      Effect.gen(function* () {
        const lost = yield* Deferred.make<never, ConnectionLost>()
        const signal: ConnectionSignal<E> = {
          lost: (cause) => Deferred.unsafeDone(lost, Effect.fail(new ConnectionLost({ service, cause })))
        }
        const connection = yield* Scope.extend(open(signal), scope)
        return yield* Effect.raceFirst(f(connection), Deferred.await(lost)).pipe(
          // What it asked fails when the connection is lost, and may do so first.
          Effect.catchAllCause((cause) =>
            Effect.flatMap(Deferred.isDone(lost), (isLost) => (isLost ? Deferred.await(lost) : Effect.failCause(cause)))
          )
        )
      }),
    (scope, exit) => Scope.close(scope, exit)
  )
