import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import type { ConnectionFailure, RetryPolicy } from "../../RetryPolicy.js"

/**
 * Ends a policy with the first failure that does not satisfy a predicate. Unlike `Schedule.whileInputEffect`, does not step
 * a policy whose answer is not wanted.
 */
export const whileFailure = <E, R, R2>(
  self: RetryPolicy<E, R>,
  predicate: (failure: ConnectionFailure<E>) => Effect.Effect<boolean, never, R2>
): RetryPolicy<E, R | R2> =>
  Schedule.makeWithState<unknown, ConnectionFailure<E>, unknown, R | R2>(self.initial, (now, failure, state) =>
    Effect.flatMap(
      Effect.suspend(() => predicate(failure)),
      (goesOn) => (goesOn ? self.step(now, failure, state) : Effect.succeed([state, undefined, ScheduleDecision.done]))
    )
  )
