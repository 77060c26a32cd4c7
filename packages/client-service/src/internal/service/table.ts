import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { ConnectionError } from "../../ConnectionError.js"
import * as ConnectionState from "../../ConnectionState.js"

/**
 * All that a transition depends on. `attempt` and `failures` count since `start`, `generation` counts for ever.
 */
export interface Model<out P, out E> {
  readonly state: ConnectionState.ConnectionState<P, E>
  readonly attempt: number
  readonly failures: number
  readonly generation: number
}

export const initial: Model<never, never> = { state: ConnectionState.Init(), attempt: 0, failures: 0, generation: 0 }

/**
 * What happens to a service, and what each event tells.
 */
export interface Events<P, E> {
  readonly start: {}
  /** `isOpen`: a connection is up, or has not closed yet. `uses`: how many the service lets finish. */
  readonly stop: { readonly isOpen: boolean; readonly uses: number }
  /**
   * `cause`: of the last of the failures, if the policy is being asked about it. `age`: how many milliseconds the attempt
   * has been under way, if it is.
   */
  readonly reconnect: {
    readonly failures: number
    readonly cause?: Cause.Cause<ConnectionError<E>>
    readonly age: number | undefined
  }
  readonly succeeded: { readonly protocol: P; readonly now: number }
  readonly failed: Failed<E>
  readonly lost: Failed<E>
  /** The connection is lost while an attempt to replace it is under way, for which some peers end it. */
  readonly overtaken: { readonly failures: number }
  readonly replaced: { readonly protocol: P; readonly failures: number; readonly now: number }
  readonly delayOver: {}
  /** Some of the uses that the service lets finish have ended. */
  readonly usesEnded: { readonly uses: number }
  readonly closed: {}
}

/** A failure, and how many there have been in a row with it. */
export interface Failure<out E> {
  readonly failures: number
  readonly cause: Cause.Cause<ConnectionError<E>>
}

/** A failure, and the retry that the policy grants, if any. */
export interface Failed<out E> extends Failure<E> {
  readonly retry: Option.Option<Retry>
}

export interface Retry {
  readonly delay: Duration.Duration
  readonly retryAt: number
}

export type EventName = keyof Events<unknown, unknown>

/**
 * What a transition has the service do, in this order. What closes a connection comes last, since finalizers may call
 * the service back.
 */
export type Output =
  /** Log that the service is running already. */
  | "warn"
  /** Have those who ask for a connection wait. */
  | "admit"
  /** Have them fail, those who wait already too. */
  | "turnAway"
  /** Give them the protocol of the connection. */
  | "handOut"
  /** Let every `stop` return. */
  | "completeStops"
  /** Begin an attempt, once all that was open is closed. */
  | "open"
  /** Begin the attempt anew when it is old enough, if it is still under way then. */
  | "reopenLater"
  /** Go on with the attempt to replace the connection. */
  | "adopt"
  /** Wait for as long as the policy says. */
  | "sleep"
  /** Replace the connection when it is old. */
  | "renew"
  /** Wait until all that is open is closed. */
  | "awaitClosed"
  /** Do nothing more. */
  | "halt"
  /** Close the connection or the attempt, but not what a replacement has left to its users. */
  | "close"
  /** Close all connections, each once those who use it have had the time that they get. */
  | "drain"

export interface Transition<out P, out E> {
  readonly model: Model<P, E>
  readonly outputs: ReadonlyArray<Output>
}

/**
 * Gives the model after an event, the very same one if nothing changes, and what the service has to do.
 */
export const transition = <P, E, Name extends EventName>(
  model: Model<P, E>,
  name: Name,
  event: Events<P, E>[Name]
): Transition<P, E> => {
  const row: Row = table[model.state._tag]
  return row[name](model, event)
}

/**
 * The failures in a row before a connection ends that has been up for so many milliseconds: none if that is `resetAfter`.
 */
export const failuresSoFar = (model: Model<unknown, unknown>, uptime: number, resetAfter: number): number =>
  model.state._tag === "Connected" && uptime >= resetAfter ? 0 : model.failures

/** An attempt younger than this, in milliseconds, is not begun anew. */
export const youth = 1000

type Cell<Name extends EventName> = <P, E>(model: Model<P, E>, event: Events<P, E>[Name]) => Transition<P, E>

type Row = { readonly [Name in EventName]: Cell<Name> }

const to = <P, E>(model: Model<P, E>, ...outputs: ReadonlyArray<Output>): Transition<P, E> => ({ model, outputs })

const ____: Cell<EventName> = (model) => to(model)

const warn: Cell<"start"> = (model) => to(model, "warn")

const first: Cell<EventName> = (model) => to(connecting(model, 1, 0), "admit", "open")

const again: Cell<"delayOver"> = (model) => to(connecting(model, model.attempt + 1, model.failures), "open")

const connectNow: Cell<"reconnect"> = (model, { cause, failures }) =>
  to(connecting(model, model.attempt + 1, failures, cause), "open", "close")

// One that has failed is not waited for.
const renewAttempt: Cell<"reconnect"> = (model, event) => {
  if (event.cause !== undefined) return connectNow(model, event)
  if (event.age === undefined) return to(model)
  return event.age < youth ? to(model, "reopenLater") : connectNow(model, event)
}

const connected: Cell<"succeeded"> = ({ attempt, failures, generation: last }, { now, protocol }) => {
  const generation = last + 1
  const state = ConnectionState.Connected({ protocol, generation, connectedAt: now })
  return to({ state, attempt, failures, generation }, "handOut", "renew")
}

const overtaken: Cell<"overtaken"> = (model, { failures }) =>
  to(connecting(model, model.attempt + 1, failures), "adopt")

const replaced: Cell<"replaced"> = ({ attempt, generation, state }, event) =>
  connected({ state, attempt: attempt + 1, failures: event.failures, generation }, event)

const failed: Cell<"failed" | "lost"> = (model, { cause, failures, retry }) =>
  Option.match(retry, {
    onNone: () => to(enter(model, ConnectionState.Exhausted({ failures, cause }), failures), "turnAway"),
    onSome: ({ delay, retryAt }) =>
      to(enter(model, ConnectionState.Waiting({ failures, delay, retryAt, cause }), failures), "sleep")
  })

// Of a service that had given up, those who ask wait again, until it is stopped.
const disconnect: Cell<"stop"> = (model, { uses }) =>
  to(disconnecting(model, uses), uses > 0 ? "turnAway" : "admit", "awaitClosed", "drain")

const stop: Cell<"stop"> = (model, event) =>
  event.isOpen ? disconnect(model, event) : to(enter(model, ConnectionState.Stopped()), "turnAway", "halt")

const closed: Cell<"closed"> = (model) => to(enter(model, ConnectionState.Stopped()), "turnAway", "completeStops")

const disconnectAgain: Cell<"stop"> = (model, { uses }) =>
  uses > 0 ? to(disconnecting(model, uses), "turnAway") : to(disconnecting(model, uses))

const countDown: Cell<"usesEnded"> = (model, { uses }) => to(disconnecting(model, uses))

const restart: Cell<"start"> = (model) => to(enter(model, ConnectionState.Restarting()), "admit")

const restarted: Cell<"closed"> = (model) => to(connecting(model, 1, 0), "admit", "completeStops", "open")

const disconnecting = <P, E>(model: Model<P, E>, uses: number): Model<P, E> =>
  enter(model, ConnectionState.Disconnecting({ uses }))

const connecting = <P, E>(
  { generation, state }: Model<P, E>,
  attempt: number,
  failures: number,
  last = causeBefore(state)
): Model<P, E> => {
  const cause = Option.fromNullable(failures === 0 ? undefined : last)
  return { state: ConnectionState.Connecting({ attempt, failures, cause }), attempt, failures, generation }
}

const causeBefore = <P, E>(
  state: ConnectionState.ConnectionState<P, E>
): Cause.Cause<ConnectionError<E>> | undefined => {
  if (state._tag === "Connecting") return Option.getOrUndefined(state.cause)
  return state._tag === "Waiting" || state._tag === "Exhausted" ? state.cause : undefined
}

// Names what it keeps: to spread a model costs several times as much, for each reconnect.
const enter = <P, E>(
  { attempt, failures: before, generation }: Model<P, E>,
  state: ConnectionState.ConnectionState<P, E>,
  failures = before
): Model<P, E> => ({ state, attempt, failures, generation })

const row = (
  start: Cell<"start">,
  stop: Cell<"stop">,
  reconnect: Cell<"reconnect">,
  succeeded: Cell<"succeeded">,
  failed: Cell<"failed">,
  lost: Cell<"lost">,
  overtaken: Cell<"overtaken">,
  replaced: Cell<"replaced">,
  delayOver: Cell<"delayOver">,
  usesEnded: Cell<"usesEnded">,
  closed: Cell<"closed">
): Row => ({ start, stop, reconnect, succeeded, failed, lost, overtaken, replaced, delayOver, usesEnded, closed })

// #region table
// A loss while Connecting is a failed attempt. Where a lost connection is still closing, `stop` waits for it.
// biome-ignore format: a table
const table: Record<ConnectionState.ConnectionState<unknown>["_tag"], Row> = {
  //                 start    stop             reconnect     succeeded  failed  lost    overtaken  replaced  delayOver  usesEnded  closed
  Init:          row(first,   stop,            ____,         ____,      ____,   ____,   ____,      ____,     ____,      ____,      ____),
  Connecting:    row(warn,    disconnect,      renewAttempt, connected, failed, ____,   ____,      ____,     ____,      ____,      ____),
  Connected:     row(warn,    disconnect,      connectNow,   ____,      ____,   failed, overtaken, replaced, ____,      ____,      ____),
  Waiting:       row(warn,    stop,            connectNow,   ____,      ____,   ____,   ____,      ____,     again,     ____,      ____),
  Disconnecting: row(restart, ____,            ____,         ____,      ____,   ____,   ____,      ____,     ____,      countDown, closed),
  Restarting:    row(warn,    disconnectAgain, ____,         ____,      ____,   ____,   ____,      ____,     ____,      ____,      restarted),
  Stopped:       row(first,   ____,            ____,         ____,      ____,   ____,   ____,      ____,     ____,      ____,      ____),
  Exhausted:     row(first,   stop,            first,        ____,      ____,   ____,   ____,      ____,     ____,      ____,      ____)
}
// #endregion
