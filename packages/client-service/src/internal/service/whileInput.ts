import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"

/**
 * Ends a schedule with the first input that does not satisfy a predicate. Unlike `Schedule.whileInputEffect`, does not step
 * a schedule whose answer is not wanted.
 */
export const whileInput = <In, R, R2>(
  self: Schedule.Schedule<unknown, In, R>,
  predicate: (input: In) => Effect.Effect<boolean, never, R2>
): Schedule.Schedule<unknown, In, R | R2> =>
  Schedule.makeWithState<unknown, In, unknown, R | R2>(self.initial, (now, input, state) =>
    Effect.flatMap(
      Effect.suspend(() => predicate(input)),
      (goesOn) => (goesOn ? self.step(now, input, state) : Effect.succeed([state, undefined, ScheduleDecision.done]))
    )
  )
