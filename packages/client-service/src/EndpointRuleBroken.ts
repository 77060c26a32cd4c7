/**
 * The failure of an endpoint that does not keep the rules of an endpoint.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import { reasonOf } from "./internal/message.js"

/**
 * The rules that an endpoint must keep:
 *
 * - `Connects`: `connect` succeeds, if the peer accepts.
 * - `ConnectsAgain`: it does so after every other outcome as well: after a connection was closed or broken off, and after
 *   an attempt was interrupted, whenever that was.
 * - `Dies`: neither `connect` nor the closing of its Scope dies of a defect.
 * - `Interruptible`: an attempt that is interrupted ends.
 * - `Closes`: the Scope of a connection, or of an attempt that was interrupted, closes.
 * - `Releases`: when the Scope is closed, nothing is left of what was acquired in it: no fiber, and, as far as the check is
 *   told how many there are, no connection.
 * - `StaysUp`: a connection that nobody touches is not lost, and can be used.
 * - `Independent`: nor is it when another one is opened, used and closed.
 *
 * @since 0.1.0
 * @category models
 */
export type EndpointRule =
  | "Connects"
  | "ConnectsAgain"
  | "Dies"
  | "Interruptible"
  | "Closes"
  | "Releases"
  | "StaysUp"
  | "Independent"

/**
 * An endpoint broke a rule. The same `seed` breaks it again, as far as the endpoint and its peer do the same again.
 *
 * @since 0.1.0
 * @category errors
 */
export class EndpointRuleBroken extends Data.TaggedError("EndpointRuleBroken")<{
  /** The name of the endpoint. */
  readonly endpoint: string
  readonly rule: EndpointRule
  /** What the endpoint did. */
  readonly what: string
  readonly seed: number
  /** What the check had done with the endpoint by then, in order. */
  readonly history: ReadonlyArray<string>
  /** What the endpoint failed with, if anything. */
  readonly cause?: Cause.Cause<unknown> | undefined
}> {
  override get message(): string {
    const reason = this.cause === undefined ? "" : `: ${reasonOf(this.cause) ?? "failed"}`
    const last = this.history[this.history.length - 1]
    return `${this.endpoint} breaks the rule ${this.rule} (seed ${this.seed}, ${last}): ${this.what}${reason}`
  }
}
