/**
 * What no waiting mends.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
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

const isCauseFinal = (isFinal: (error: unknown) => boolean, cause: Cause.Cause<unknown>): boolean =>
  Option.exists(Cause.failureOption(cause), isFinal)
