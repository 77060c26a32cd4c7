import type { Exit, Fiber } from "effect"
import type { Protocol } from "./peer.js"

/** An Effect of the application, which runs in a fiber of its own. */
export interface Job {
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  exit: Exit.Exit<unknown, unknown> | undefined
  endedAt: number | undefined
}

/** A `whenConnected`. */
export interface Waiter extends Job {
  readonly failAfterFailures: number | undefined
  /** What had happened when it began to wait, and when it failed. */
  readonly since: Counts
  until: Counts | undefined
  deliveries: number
  interrupted: boolean
}

/** A `use`. */
export interface Use extends Job {
  protocol: Protocol | undefined
  runs: number
  running: boolean
}

/** A reader of `connections`. */
export interface Consumer extends Job {
  last: Protocol | undefined
}

/** How often each thing that ends a wait has happened. */
export interface Counts {
  readonly failedAttempts: number
  readonly stopped: number
  readonly exhausted: number
}
