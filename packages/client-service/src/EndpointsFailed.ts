/**
 * The failure of several endpoints of which one would have done.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import { reasonOf } from "./internal/message.js"

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
 * No endpoint of those that were tried could be connected to. `failures` tells why, in the order in which they failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class EndpointsFailed<out E> extends Data.TaggedError("EndpointsFailed")<{
  readonly failures: ReadonlyArray<EndpointFailure<unknown>>
}> {
  declare readonly failures: ReadonlyArray<EndpointFailure<E>>

  constructor(args: { readonly failures: ReadonlyArray<EndpointFailure<E>> }) {
    super(args)
  }

  override get message(): string {
    return this.failures.map(({ cause, endpoint }) => `${endpoint}: ${reasonOf(cause) ?? "failed"}`).join("; ")
  }
}
