/**
 * What no waiting mends, and what is tried again.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { EndpointsFailed } from "effect-client-service/EndpointsFailed"

/**
 * Makes a predicate for a policy that is to end, of one that tells the final refusals of a server. The failure of several
 * endpoints is final if that of each is, and all have been tried: any other may do next time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const isFinal =
  (isRefusalFinal: (error: unknown) => boolean) =>
  (error: unknown): boolean =>
    error instanceof EndpointsFailed
      ? error.untried === 0 && error.failures.every(({ cause }) => isCauseFinal(isFinal(isRefusalFinal), cause))
      : isRefusalFinal(error)

/**
 * Warns of what has failed and is tried again: of the first failure in a row, and then of fewer and fewer, the 2nd, 4th, 8th and so
 * on. Of none where there was no failure in a row.
 *
 * @since 0.1.0
 * @category logging
 */
export const warn = (what: string, error: Error, failures: number): Effect.Effect<void> =>
  Number.isInteger(Math.log2(failures)) ? Effect.logWarning(`${what}: ${error.message}`) : Effect.void

const isCauseFinal = (isFinal: (error: unknown) => boolean, cause: Cause.Cause<unknown>): boolean =>
  Option.exists(Cause.failureOption(cause), isFinal)
