import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type { EndpointFailure } from "../../EndpointsFailed.js"

/** What an attempt has tried, of several endpoints of which one would do. */
export interface Tries {
  tries?: ReadonlyArray<Try> | undefined
}

/** One of those endpoints, which may have several itself. It has failed if there is a cause. */
export interface Try extends Tries {
  readonly endpoint: string
  cause?: Cause.Cause<unknown> | undefined
}

/** The endpoint that an Effect is part of, of those which an attempt has tried. By default, it is part of the attempt alone. */
export class Trying extends Context.Reference<Trying>()("effect-client-service/Trying", {
  defaultValue: (): Try | undefined => undefined
}) {}

/** How far the attempt is with those that have no others themselves. */
export const outcome = (tries: ReadonlyArray<Try>): Outcome => {
  const failures: Array<EndpointFailure<unknown>> = []
  const pending: Array<string> = []
  for (const each of tries) {
    const { cause, endpoint } = each
    if (cause !== undefined) failures.push({ endpoint, cause })
    else if (each.tries === undefined) pending.push(endpoint)
    else {
      const own = outcome(each.tries)
      failures.push(...own.failures)
      pending.push(...own.pending)
    }
  }
  return { failures, pending }
}

export interface Outcome {
  readonly failures: ReadonlyArray<EndpointFailure<unknown>>
  readonly pending: ReadonlyArray<string>
}
