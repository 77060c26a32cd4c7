import type { RedisArgument } from "@redis/client"
import type * as Effect from "effect/Effect"
import type { ConnectionLost } from "effect-client-service/ConnectionError"
import * as OwnConnection from "effect-client-service-driver/OwnConnection"
import type { RedisConnection, Session } from "../RedisConnection.js"
import type { RedisError } from "../RedisError.js"
import type { Owner } from "./owner.js"

/** Has a connection besides another for as long as an Effect runs. */
export const withSession = <A, E, R>(
  connection: RedisConnection,
  service: string,
  f: (session: Session) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | RedisError | ConnectionLost, R> => OwnConnection.use(service, connection.session, f)

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
