import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type { ConnectTimeout } from "../../ConnectionError.js"
import type { Changes } from "../time/changes.js"

/**
 * Tells what an endpoint can't see of the attempt that it is part of: whether the connection came up in the end, past
 * `protocol` and `prepare`. Without a service, connecting is all there is to it.
 */
export class AttemptStatus extends Context.Reference<AttemptStatus>()("effect-client-service/AttemptStatus", {
  defaultValue: (): Status => ({
    isEstablished: true,
    users: () => 0,
    changes: undefined,
    enter: () => {},
    received: undefined,
    attend: undefined
  })
}) {}

export type Stage = ConnectTimeout["stage"]

export interface Status {
  isEstablished: boolean
  /** How many use the connection. */
  readonly users: () => number
  /** Tells of every change of that, and of `isEstablished`. */
  readonly changes: Pick<Changes, "subscribe"> | undefined
  /** Tells how far the attempt is. */
  readonly enter: (stage: Stage) => void
  /** Is told of bytes that have arrived. */
  readonly received: ((bytes: number) => void) | undefined
  /** Is told of a fiber that the attempt waits for, and that is none of its children. */
  readonly attend: ((fiber: Fiber.RuntimeFiber<unknown, unknown>) => void) | undefined
}
