import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import type { ConnectTimeout } from "../../ConnectionError.js"
import type { Tries } from "../endpoints/tries.js"
import type { Changes } from "../time/changes.js"
import type { Receivers } from "./receivers.js"

/**
 * Tells what an endpoint can't see of the attempt that it is part of: whether the connection came up in the end, past
 * `protocol` and `prepare`. Without a service, connecting is all there is to it.
 */
export class AttemptStatus extends Context.Reference<AttemptStatus>()("effect-client-service/AttemptStatus", {
  defaultValue: (): Status => ({
    isEstablished: true,
    users: () => [],
    changes: undefined,
    enter: () => {},
    received: undefined,
    attend: undefined
  })
}) {}

export type Stage = ConnectTimeout["stage"]

/** One who uses a connection. */
export interface User {
  readonly isDone: boolean
  /** Of the fiber that it has, if it takes one. */
  readonly fiberId?: FiberId.FiberId | undefined
}

export interface Status extends Tries {
  isEstablished: boolean
  /** Who uses the connection. */
  readonly users: () => ReadonlyArray<User>
  /** Tells of every user that ends, though of none that comes, and of `isEstablished`. */
  readonly changes: Pick<Changes, "subscribe"> | undefined
  /** Tells how far the attempt is. */
  readonly enter: (stage: Stage) => void
  /** Is told of bytes that have arrived. */
  readonly received: ((bytes: number) => void) | undefined
  /** Is told of a fiber that the attempt waits for, and that is none of its children. */
  readonly attend: ((fiber: Fiber.RuntimeFiber<unknown, unknown>) => void) | undefined
  /** What receives, of a connection that the service may have to give up by itself. */
  readonly receivers?: Receivers | undefined
}
