/**
 * The failure of several endpoints of which one would have done.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import { told } from "./internal/message.js"

/**
 * Which endpoint failed, and why.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndpointFailure<out E> {
  /** The name of the endpoint. */
  readonly endpoint: string
  readonly cause: Cause.Cause<E>
}

/**
 * No endpoint of those that were tried could be connected to. `failures` tells why, in the order in which they failed, and
 * `untried` how many the next attempts have yet to try.
 *
 * @since 0.1.0
 * @category errors
 */
export class EndpointsFailed<out E> extends Data.TaggedError("EndpointsFailed")<{
  readonly failures: ReadonlyArray<EndpointFailure<unknown>>
  readonly untried: number
}> {
  declare readonly failures: ReadonlyArray<EndpointFailure<E>>

  constructor({ failures, untried = 0 }: Failed<E>) {
    super({ failures, untried })
  }

  override get message(): string {
    return this.failures.map(told).join("; ")
  }
}

interface Failed<out E> {
  readonly failures: ReadonlyArray<EndpointFailure<E>>
  readonly untried?: number
}
