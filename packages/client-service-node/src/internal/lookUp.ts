import * as Dns from "node:dns"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ConnectError, fromNodeError } from "../ConnectError.js"
import { deadline } from "./turn.js"

/**
 * Looks up all addresses of a name, in the order in which to try them: that of the system, which knows its routes, but
 * IPv6 and IPv4 alternate (RFC 8305, section 4), lest one of them that does not work holds up the other.
 */
export const lookUp = (
  host: string,
  family: number,
  address: string,
  timeout: Duration.Duration
): Effect.Effect<ReadonlyArray<string>, ConnectError> =>
  Effect.tryPromise({
    try: () => Dns.promises.lookup(host, { all: true, verbatim: true, family }),
    catch: (error) => fromNodeError(error, address)
  }).pipe(
    Effect.raceFirst(
      Effect.flatMap(
        deadline(timeout),
        () =>
          new ConnectError({
            reason: "Dns",
            address,
            code: "ETIMEOUT",
            cause: new Error(`the look-up did not end within ${Duration.format(timeout)}`)
          })
      )
    ),
    Effect.map(alternate)
  )

const alternate = (addresses: ReadonlyArray<Dns.LookupAddress>): ReadonlyArray<string> => {
  const isPreferred = ({ family }: Dns.LookupAddress) => family === addresses[0]?.family
  const preferred = addresses.filter(isPreferred)
  const others = addresses.filter((address) => !isPreferred(address))
  return addresses
    .flatMap((_, i) => [...preferred.slice(i, i + 1), ...others.slice(i, i + 1)])
    .map(({ address }) => address)
}
