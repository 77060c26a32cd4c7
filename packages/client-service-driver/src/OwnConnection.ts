/**
 * A connection besides that of a service, for what several callers can't share.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { ConnectionLost } from "effect-client-service/ConnectionError"
import type { ConnectionSignal } from "effect-client-service/Endpoint"

/**
 * Opens a connection, runs an Effect with it, and closes it in the end. If the connection is lost before, fails with a
 * `ConnectionLost` of the service, whose cause is what the signal was told, whatever the Effect has failed with for that.
 * The Effect is interrupted then, also where the caller can't be, and not waited for.
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
          lost: (cause, detail) => {
            const loss = detail === undefined ? { service, cause } : { service, cause, detail }
            Deferred.unsafeDone(lost, Effect.fail(new ConnectionLost(loss)))
          }
        }
        const connection = yield* Scope.extend(open(signal), scope)
        return yield* untilLost(f(connection), lost)
      }),
    (scope, exit) => Scope.close(scope, exit)
  )

// Not `Race.firstOf`, which waits for the one that loses, though it can't be interrupted, and drops what it has done to the
// `FiberRef`s of the caller.
const untilLost = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  lost: Deferred.Deferred<never, ConnectionLost>
): Effect.Effect<A, E | ConnectionLost, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<A, E | ConnectionLost>()
      const fiber = yield* Effect.forkDaemon(Effect.interruptible(self))
      fiber.addObserver((exit) => Deferred.unsafeDone(ended, exit))
      const loss = yield* Effect.forkDaemon(Deferred.complete(ended, Effect.interruptible(Deferred.await(lost))))
      const isLost = Deferred.isDone(lost)
      return yield* restore(Deferred.await(ended)).pipe(
        // What it asked fails when the connection is lost, and may do so first.
        Effect.catchAllCause((cause) =>
          Effect.if(isLost, { onTrue: () => Deferred.await(lost), onFalse: () => Effect.failCause(cause) })
        ),
        Effect.zipLeft(fiber.inheritAll),
        Effect.ensuring(
          Effect.zipRight(
            Fiber.interruptFork(loss),
            Effect.if(isLost, { onTrue: () => Fiber.interruptFork(fiber), onFalse: () => Fiber.interrupt(fiber) })
          )
        )
      )
    })
  )
