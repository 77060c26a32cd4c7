import { Cause, Duration, Effect, ScheduleDecision, ScheduleIntervals } from "effect"
import type { RetryPolicy } from "effect-client-service"

/**
 * Steps a policy by hand, once for each count of failures, and gives the delays in milliseconds: fewer than counts if
 * the policy ends. Each failure comes as soon as the delay before is over.
 */
export const delaysAt = <R>(
  policy: RetryPolicy.RetryPolicy<string, R>,
  counts: ReadonlyArray<number>
): Effect.Effect<ReadonlyArray<number>, never, R> =>
  Effect.gen(function* () {
    const delays: Array<number> = []
    let now = 0
    let state = policy.initial
    for (const failures of counts) {
      const [next, , decision] = yield* policy.step(
        now,
        { failures, cause: Cause.fail("refused"), elapsed: Duration.millis(now) },
        state
      )
      if (ScheduleDecision.isDone(decision)) break
      const start = ScheduleIntervals.start(decision.intervals)
      delays.push(start - now)
      now = start
      state = next
    }
    return delays
  })

/** The delays after so many failures in a row. */
export const delaysOf = <R>(policy: RetryPolicy.RetryPolicy<string, R>, failures: number) =>
  delaysAt(
    policy,
    Array.from({ length: failures }, (_, index) => index + 1)
  )
