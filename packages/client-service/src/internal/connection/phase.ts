import type * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { AttemptError, ConnectionError } from "../../ConnectionError.js"
import type { Users } from "./use.js"

/**
 * What becomes of an attempt, and of the connection that comes of it. `since` is by `monotonic`, in milliseconds.
 *
 * - `Attempting`: it connects, makes the protocol and prepares it.
 * - `Ready`: it has succeeded, and the service has not taken it up yet.
 * - `Up`: the service has it for its connection.
 * - `Retiring`: those who use it already may go on for a while; nobody else gets it.
 * - `Failed`: the attempt failed. What it has acquired is still open.
 * - `Lost`: the connection is lost. What it has acquired is still open.
 * - `Closing`: what it has acquired is being released.
 * - `Closed`: nothing is left of it.
 */
export type Phase<P, E> =
  | Pending<P>
  | Serving<P>
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<AttemptError<E>> }
  | { readonly _tag: "Lost"; readonly cause: Cause.Cause<ConnectionError<E>> }
  | {
      readonly _tag: "Closing"
      readonly since: number
      readonly cause: Cause.Cause<ConnectionError<E>> | undefined
      /** Why it is closed, if it is neither lost nor replaced. */
      readonly reason: unknown
    }
  | { readonly _tag: "Closed" }

type Pending<P> =
  | { readonly _tag: "Attempting"; readonly since: number }
  | { readonly _tag: "Ready"; readonly since: number; readonly protocol: P }

interface Serving<P> {
  readonly _tag: "Up" | "Retiring"
  readonly since: number
  readonly established: Established<P>
}

/** What a Scope is closed with whose connection is replaced, so that the peer can be told. */
export const replaced = "replaced"

/** Whether the service is yet to have the connection. */
export const isPending = <P, E>(phase: Phase<P, E>): phase is Pending<P> =>
  phase._tag === "Attempting" || phase._tag === "Ready"

/** Whether there are those who may use the connection. */
export const isEstablished = <P, E>(phase: Phase<P, E>): phase is Serving<P> =>
  phase._tag === "Up" || phase._tag === "Retiring"

/** A connection that the service has handed out. */
export interface Established<out P> {
  readonly protocol: P
  readonly generation: number
  readonly users: Users
  /** The protocol, for those who look rather than wait. */
  readonly some: Option.Option<P>
  /** The protocol, for those who wait. */
  readonly succeed: Effect.Effect<P>
}
