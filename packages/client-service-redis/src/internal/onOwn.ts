import type { RedisArgument } from "@redis/client"
import type { RedisConnection } from "../RedisConnection.js"
import type { Call } from "./load.js"
import type { OwnClient, Purpose } from "./ownClients.js"

/** Has a client for a command and what comes after it, unless the server would close the connection for what it is sent. */
export const onOwn = <A>(
  { own, refusalOf }: RedisConnection,
  call: Call,
  args: ReadonlyArray<RedisArgument>,
  purpose: Purpose,
  f: (own: OwnClient) => Promise<A>
): Promise<A> => {
  const refused = refusalOf(args)
  if (refused !== undefined) return Promise.reject(refused)
  call.count(args)
  return own.run(f, call, purpose)
}
