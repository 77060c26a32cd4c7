import type { RedisArgument } from "@redis/client"
import type * as Effect from "effect/Effect"
import type { ConnectionLost } from "effect-client-service/ConnectionError"
import * as OwnConnection from "effect-client-service-driver/OwnConnection"
import type { Client, RedisConnection, Session } from "../RedisConnection.js"
import type { RedisError } from "../RedisError.js"
import type { Call } from "./load.js"
import type { OwnClient } from "./ownClients.js"

/** Has a connection besides another for as long as an Effect runs. */
export const withSession = <A, E, R>(
  connection: RedisConnection,
  service: string,
  f: (session: Session) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | RedisError | ConnectionLost, R> => OwnConnection.use(service, connection.session, f)

/**
 * Reads and writes if nothing has changed meanwhile, and watches nothing any longer in the end. Since it asks one after the
 * other, what it sends is counted step by step.
 */
export const watched = async <A, B>(
  { client, owner, spoil }: OwnClient,
  call: Call,
  keys: ReadonlyArray<RedisArgument>,
  read: (client: Client) => Promise<A>,
  write: (client: Client, value: A) => Promise<B>
): Promise<B> => {
  const counted = client.withCommandOptions({ timeout: 0, abortSignal: call })
  await owner.sendCommand(["WATCH", ...keys])
  try {
    const value = await call.next(() => read(counted))
    return await call.next(() => write(counted, value))
  } catch (error) {
    // One that watches on would fail what others write.
    await owner.sendCommand(["UNWATCH"]).catch(spoil)
    throw error
  }
}
