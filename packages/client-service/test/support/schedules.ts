import { Effect, Schedule, ScheduleDecision, ScheduleInterval } from "effect"

/** Always the same delay, in milliseconds, which may make no sense: no policy has looked at it. */
export const scheduleOf = (delay: number): Schedule.Schedule<unknown> =>
  Schedule.makeWithState(0, (now) =>
    Effect.succeed([0, 0, ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))])
  )
