import type { Exit, Fiber } from "effect"
import type { Protocol } from "./peer.js"
import type { UseOptions } from "./script.js"

/** An Effect of the application, which runs in a fiber of its own. */
export interface Job {
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  exit: Exit.Exit<unknown, unknown> | undefined
  endedAt: number | undefined
}

/** A `whenConnected`. */
export interface Waiter extends Job {
  readonly failAfterFailures: number | undefined
  /** What had happened when it was called, when it waited for certain, and when it failed. */
  readonly since: Counts
  waiting: Counts | undefined
  until: Counts | undefined
  deliveries: number
  interrupted: boolean
}

/** A `use`, or a `usePromise`. */
export interface Use extends Job {
  readonly options: UseOptions
  readonly since: number
  protocol: Protocol | undefined
  runs: number
  running: boolean
  /** Of a promise. */
  signal: AbortSignal | undefined
}

/** A reader of `connections`, or of a stream over them. */
export interface Consumer extends Job {
  last: Protocol | undefined
}

/** How often each thing that ends a wait has happened. */
export interface Counts {
  /** Of the peer: the service learns of it a few turns later. */
  readonly failedAttempts: number
  /** Or turned everybody away, in order to stop. */
  readonly stopped: number
  readonly exhausted: number
  /** Whether an attempt may have timed out that is not counted. */
  readonly mayTimeOut: boolean
}
