import { Effect, Fiber, Layer, Schedule } from "effect"
import type { Connect } from "../../support/connect.js"

export const failing = <Peer>(connect: Connect<Peer>) =>
  Layer.scopedDiscard(
    Effect.acquireRelease(
      connect.pipe(
        Effect.flatMap(({ lost }) => lost),
        Effect.scoped,
        Effect.retry(Schedule.spaced("1 second")),
        // What acquires is not interrupted, nor is what it forks: so this fiber can't be.
        Effect.fork
      ),
      Fiber.interrupt
    )
  )
