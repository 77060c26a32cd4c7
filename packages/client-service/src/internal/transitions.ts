import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { ConnectionError } from "../ConnectionError.js"
import * as ConnectionState from "../ConnectionState.js"

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
  readonly stop: { readonly closing: boolean }
  readonly succeeded: { readonly protocol: P; readonly now: number }
  readonly failed: Failed<E>
  readonly lost: Failed<E>
  readonly delayOver: {}
  readonly closed: {}
  readonly reconnect: { readonly failures: number }
  readonly replaced: { readonly protocol: P; readonly failures: number; readonly now: number }
}

/** A failure, and the retry that the policy grants, if any. */
export interface Failed<out E> {
  readonly failures: number
  readonly cause: Cause.Cause<ConnectionError<E>>
  readonly retry: Option.Option<Retry>
}

export interface Retry {
  readonly delay: Duration.Duration
  readonly retryAt: number
}

export type EventName = keyof Events<unknown, unknown>

/**
 * Gives the model after an event: the very same one if the event changes nothing in this state.
 */
export const transition = <P, E, Name extends EventName>(
  model: Model<P, E>,
  name: Name,
  event: Events<P, E>[Name]
): Model<P, E> => {
  const row: Row = table[model.state._tag]
  return row[name](model, event)
}

/**
 * The failures in a row before a connection that ends now: none if it has stayed up for `resetAfter`.
 */
export const failuresSoFar = (model: Model<unknown, unknown>, now: number, resetAfter: number): number =>
  model.state._tag === "Connected" && now - model.state.connectedAt >= resetAfter ? 0 : model.failures

type Cell<Name extends EventName> = <P, E>(model: Model<P, E>, event: Events<P, E>[Name]) => Model<P, E>

type Row = { readonly [Name in EventName]: Cell<Name> }

const first: Cell<"start" | "closed"> = (model) => connecting({ ...model, attempt: 0, failures: 0 })

const again: Cell<"delayOver"> = (model) => connecting(model)

const replace: Cell<"reconnect"> = (model, { failures }) => connecting({ ...model, failures })

// Those of a reconnect name what they keep: to spread a model costs several times as much.
const connected: Cell<"succeeded"> = ({ attempt, failures, generation: last }, { now, protocol }) => {
  const generation = last + 1
  const state = ConnectionState.Connected({ protocol, generation, connectedAt: now })
  return { state, attempt, failures, generation }
}

const renew: Cell<"replaced"> = (model, { failures, now, protocol }) =>
  connected({ ...model, attempt: model.attempt + 1, failures }, { now, protocol })

const retry: Cell<"failed" | "lost"> = ({ attempt, generation }, { cause, failures, retry }) => ({
  state: Option.match(retry, {
    onNone: () => ConnectionState.Exhausted({ failures, cause }),
    onSome: ({ delay, retryAt }) => ConnectionState.Waiting({ failures, delay, retryAt, cause })
  }),
  attempt,
  failures,
  generation
})

const disconnect: Cell<EventName> = (model) => ({ ...model, state: ConnectionState.Disconnecting() })

const restart: Cell<"start"> = (model) => ({ ...model, state: ConnectionState.Restarting() })

const stopped: Cell<EventName> = (model) => ({ ...model, state: ConnectionState.Stopped() })

const stop: Cell<"stop"> = (model, event) => (event.closing ? disconnect(model, event) : stopped(model, event))

const warn: Cell<"start"> = (model) => model

const stay: Cell<"stop"> = (model) => model

const ____: Cell<EventName> = (model) => model

const connecting = <P, E>({ attempt: last, failures, generation }: Model<P, E>): Model<P, E> => {
  const attempt = last + 1
  return { state: ConnectionState.Connecting({ attempt, failures }), attempt, failures, generation }
}

const row = (...[start, stop, succeeded, failed, lost, delayOver, closed, reconnect, replaced]: Cells): Row => ({
  start,
  stop,
  succeeded,
  failed,
  lost,
  delayOver,
  closed,
  reconnect,
  replaced
})

type Cells = readonly [
  start: Cell<"start">,
  stop: Cell<"stop">,
  succeeded: Cell<"succeeded">,
  failed: Cell<"failed">,
  lost: Cell<"lost">,
  delayOver: Cell<"delayOver">,
  closed: Cell<"closed">,
  reconnect: Cell<"reconnect">,
  replaced: Cell<"replaced">
]

// A loss while Connecting is a failed attempt. A stop is `closing` while an old connection has not closed yet.
// biome-ignore format: a table
const table: Record<ConnectionState.ConnectionState<unknown>["_tag"], Row> = {
  //                 start    stop        succeeded  failed  lost   delayOver  closed   reconnect  replaced
  Init:          row(first,   stop,       ____,      ____,   ____,  ____,      ____,    ____,      ____),
  Connecting:    row(warn,    disconnect, connected, retry,  ____,  ____,      ____,    ____,      ____),
  Connected:     row(warn,    disconnect, ____,      ____,   retry, ____,      ____,    replace,   renew),
  Waiting:       row(warn,    stop,       ____,      ____,   ____,  again,     ____,    replace,   ____),
  Disconnecting: row(restart, stay,       ____,      ____,   ____,  ____,      stopped, ____,      ____),
  Restarting:    row(warn,    disconnect, ____,      ____,   ____,  ____,      first,   ____,      ____),
  Stopped:       row(first,   stay,       ____,      ____,   ____,  ____,      ____,    ____,      ____),
  Exhausted:     row(first,   stop,       ____,      ____,   ____,  ____,      ____,    ____,      ____)
}
