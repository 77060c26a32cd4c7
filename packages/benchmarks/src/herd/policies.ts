import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import { RetryPolicy } from "effect-client-service"

/** What clients do by default, and what else they could. */
export interface Contender {
  readonly name: string
  readonly policy: RetryPolicy.RetryPolicy<unknown>
}

/** Not what the default is, but that which a service has that is not told of any. */
export const ours: Contender = { name: "default: full jitter, 0.5 s × 2 to 30 s", policy: RetryPolicy.fullJitter() }

export const unjittered: Contender = {
  name: "without jitter: 1 s, always",
  policy: RetryPolicy.fromFunction(() => 1000)
}

// The first delay is one second exactly, and the jitter is a share of each that follows.
const grpc = Schedule.fromDelay("1 second").pipe(
  Schedule.andThen(
    Schedule.exponential("1.6 seconds", 1.6).pipe(Schedule.union(Schedule.spaced("120 seconds")), Schedule.jittered)
  )
)

// Uniform up to three times the delay before, like decorrelated jitter, but from the delay before or a third of the
// longest one, whichever is less.
const dbConnection = (shortest: number, longest: number): RetryPolicy.RetryPolicy<unknown> =>
  Schedule.makeWithState(shortest, (now, _: unknown, before) =>
    Effect.map(
      Random.nextIntBetween(
        Math.min(before, Math.max(shortest, Math.floor(longest / 3))),
        Math.min(before * 3, longest) + 1
      ),
      (delay) => [delay, delay, ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))]
    )
  )

export const proportional: Contender = {
  name: "proportional to the outage, 0.5 to 30 s",
  policy: RetryPolicy.proportional()
}

export const contenders: ReadonlyArray<Contender> = [
  ours,
  proportional,
  { name: "Twisted: 1 s × 1.5 to 60 s, + 0 to 1 s", policy: RetryPolicy.backoff() },
  { name: "gRPC: 1 s × 1.6 to 120 s, ± 20 %", policy: grpc },
  {
    name: "ioredis 6: 50 ms × 2 to 5 s, + 0 to 200 ms",
    policy: RetryPolicy.backoff({
      initialDelay: "50 millis",
      maxDelay: "5 seconds",
      factor: 2,
      jitter: Random.nextIntBetween(0, 200)
    })
  },
  unjittered,
  { name: "DBConnection: rand_exp, 1 to 30 s", policy: dbConnection(1000, 30_000) },
  {
    name: "full jitter, 0.1 s × 2 to 20 s",
    policy: RetryPolicy.fullJitter({ initialDelay: "100 millis", maxDelay: "20 seconds" })
  },
  { name: "decorrelated jitter, 0.5 to 30 s", policy: RetryPolicy.decorrelatedJitter() }
]
