import type { RedisArgument } from "@redis/client"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { ConnectionLost } from "effect-client-service/ConnectionError"
import type { RedisConnection, Session } from "../RedisConnection.js"
import type { RedisError } from "../RedisError.js"
import type { Owner } from "./owner.js"

/** Has a connection besides another for as long as an Effect runs. */
export const withSession = <A, E, R>(
  connection: RedisConnection,
  service: string,
  f: (session: Session) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | RedisError | ConnectionLost, R> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) =>
      Effect.gen(function* () {
        const lost = yield* Deferred.make<never, ConnectionLost>()
        const signal = {
          lost: (cause?: RedisError) => Deferred.unsafeDone(lost, Effect.fail(new ConnectionLost({ service, cause })))
        }
        const session = yield* Scope.extend(connection.session(signal), scope)
        return yield* Effect.raceFirst(f(session), Deferred.await(lost)).pipe(
          // What it asked fails when the connection is lost, and may do so first.
          Effect.catchAllCause((cause) =>
            Effect.flatMap(Deferred.isDone(lost), (isLost) => (isLost ? Deferred.await(lost) : Effect.failCause(cause)))
          )
        )
      }),
    (scope, exit) => Scope.close(scope, exit)
  )

/** Reads and writes if nothing has changed meanwhile, and watches nothing any longer in the end. */
export const watched = async <A, B>(
  owner: Owner,
  keys: ReadonlyArray<RedisArgument>,
  read: () => Promise<A>,
  write: (value: A) => Promise<B>
): Promise<B> => {
  await owner.sendCommand(["WATCH", ...keys])
  try {
    return await write(await read())
  } catch (error) {
    await owner.sendCommand(["UNWATCH"])
    throw error
  }
}
