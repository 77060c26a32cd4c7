import * as Dns from "node:dns"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { ConnectError, fromNodeError } from "../ConnectError.js"
import { deadline } from "./turn.js"

/**
 * Looks up all addresses of a name, in the order in which to try them: that of the system, which knows its routes, but
 * IPv6 and IPv4 alternate (RFC 8305, section 4), lest one of them that does not work holds up the other.
 *
 * It is no race of Effects, which would wait for its deadline where the caller can't be interrupted.
 */
export const lookUp = (
  host: string,
  family: number,
  address: string,
  timeout: Duration.Duration
): Effect.Effect<ReadonlyArray<string>, ConnectError> =>
  Effect.clockWith((clock) =>
    Effect.async((resume) => {
      const late = Effect.map(deadline(timeout), () => resume(tooLate(address, timeout)))
      const waiting = Effect.runFork(Effect.withClock(late, clock))
      const settle = (effect: Effect.Effect<ReadonlyArray<string>, ConnectError>) => {
        waiting.unsafeInterruptAsFork(FiberId.none)
        resume(effect)
      }
      all(host, family).then(
        (addresses) => settle(Effect.succeed(alternate(addresses))),
        (error) => settle(fromNodeError(error, address))
      )
      return Effect.sync(() => waiting.unsafeInterruptAsFork(FiberId.none))
    })
  )

const all = async (host: string, family: number): Promise<ReadonlyArray<Dns.LookupAddress>> =>
  Dns.promises.lookup(host, { all: true, verbatim: true, family })

const tooLate = (address: string, timeout: Duration.Duration): ConnectError =>
  new ConnectError({
    reason: "Dns",
    address,
    code: "ETIMEOUT",
    cause: new Error(`the look-up did not end within ${Duration.format(timeout)}`)
  })

const alternate = (addresses: ReadonlyArray<Dns.LookupAddress>): ReadonlyArray<string> => {
  const isPreferred = ({ family }: Dns.LookupAddress) => family === addresses[0]?.family
  const preferred = addresses.filter(isPreferred)
  const others = addresses.filter((address) => !isPreferred(address))
  return addresses
    .flatMap((_, i) => [...preferred.slice(i, i + 1), ...others.slice(i, i + 1)])
    .map(({ address }) => address)
}
