import { Effect, Schedule } from "effect"
import type { Connect } from "../../support/connect.js"

// 1 s, 2 s, 4 s ... 30 s
const policy = Schedule.exponential("1 second").pipe(Schedule.union(Schedule.spaced("30 seconds")))

export const failing = <Peer>(connect: Connect<Peer>) =>
  connect.pipe(
    Effect.flatMap(({ lost }) => lost),
    Effect.scoped,
    Effect.retry(policy)
  )
