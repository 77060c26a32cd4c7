/**
 * What can end an attempt or a connection, and what waiting for one can fail with.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { ConnectionState } from "./ConnectionState.js"
import { inARow, messageOf, reasonOf } from "./internal/message.js"

/**
 * All that an attempt can fail with: the errors of the caller's own endpoint, `protocol` and `prepare`, and those of the
 * service.
 *
 * @since 0.1.0
 * @category models
 */
export type AttemptError<E> = E | ConnectTimeout | ConnectionLost

/**
 * All that can end an attempt or a connection: the errors of the caller's own endpoint, `protocol` and `prepare`, and
 * those of the service.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionError<E> = AttemptError<E> | HeartbeatTimeout

/**
 * An attempt took longer than the service's `connectTimeout`, which covers connect, `protocol` and `prepare` together.
 * `stage` is what had not finished by then.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectTimeout extends Data.TaggedError("ConnectTimeout")<{
  readonly service: string
  readonly duration: Duration.Duration
  readonly stage: "connect" | "protocol" | "prepare"
}> {
  override get message(): string {
    const within = `no connection within ${Duration.format(this.duration)}`
    return messageOf(this.service, within, `${this.stage} had not finished`)
  }
}

/**
 * A connection was lost without an error of its own: the peer closed it, or its signal's `lost` was called with no
 * error. It is also what `use` fails with when the connection under it is lost for whatever reason; `cause` is then
 * that reason.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly service: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return messageOf(
      this.service,
      "the connection was lost",
      this.cause instanceof Error ? this.cause.message : undefined
    )
  }
}

/**
 * A probe of the service's `heartbeat` had no answer within its timeout, so the connection counts as lost.
 *
 * @since 0.1.0
 * @category errors
 */
export class HeartbeatTimeout extends Data.TaggedError("HeartbeatTimeout")<{
  readonly service: string
  readonly duration: Duration.Duration
}> {
  override get message(): string {
    return `${this.service}: no answer to the heartbeat within ${Duration.format(this.duration)}`
  }
}

/**
 * The service is stopped, or was stopped while the caller waited. `start` it, or take it for the end.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServiceStopped extends Data.TaggedError("ServiceStopped")<{
  readonly service: string
}> {
  override get message(): string {
    return `${this.service}: the service is stopped`
  }
}

/**
 * There was no connection within the `maxWait` of a `use`. `state` tells what the service was doing at the end of it, and
 * the message also why.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotConnected<out E> extends Data.TaggedError("NotConnected")<{
  readonly service: string
  readonly state: unknown
  readonly maxWait?: Duration.Duration | undefined
}> {
  // Without its protocol, of which there is none.
  declare readonly state: ConnectionState<unknown, E>

  constructor(args: {
    readonly service: string
    readonly state: ConnectionState<unknown, E>
    /** How long the caller would have waited. */
    readonly maxWait?: Duration.Duration | undefined
  }) {
    super(args)
  }

  override get message(): string {
    const { maxWait, service, state } = this
    const within = maxWait === undefined || Duration.isZero(maxWait) ? "" : ` within ${Duration.format(maxWait)}`
    return messageOf(service, `no connection${within}`, activity(service, state))
  }
}

/**
 * The retry policy ended, so the service has given up until it is started again. `cause` is that of the last failure,
 * `failures` how many there were in a row.
 *
 * @since 0.1.0
 * @category errors
 */
export class RetriesExhausted<out E> extends Data.TaggedError("RetriesExhausted")<{
  readonly service: string
  readonly failures: number
  readonly cause: unknown
}> {
  declare readonly cause: Cause.Cause<ConnectionError<E>>

  constructor(args: {
    readonly service: string
    readonly failures: number
    readonly cause: Cause.Cause<ConnectionError<E>>
  }) {
    super(args)
  }

  override get message(): string {
    return messageOf(this.service, `gave up after ${inARow(this.failures)}`, reasonOf(this.cause))
  }
}

// What a service without a connection is doing, and why.
const activity = (service: string, state: ConnectionState<unknown, unknown>): string => {
  switch (state._tag) {
    case "Init":
      return "the service is not started"
    case "Connecting": {
      const attempt = `attempt ${state.attempt} is under way`
      if (Option.isNone(state.cause)) return attempt
      return messageOf(service, `${attempt} after ${inARow(state.failures)}`, reasonOf(state.cause.value))
    }
    // Whose loss is not known to all yet.
    case "Connected":
      return "it was lost just now"
    case "Waiting":
      return messageOf(service, `waiting to try again after ${inARow(state.failures)}`, reasonOf(state.cause))
    case "Disconnecting":
      return "the service is stopping"
    case "Restarting":
      return "the service is restarting"
    case "Stopped":
      return "the service is stopped"
    case "Exhausted":
      return messageOf(service, `gave up after ${inARow(state.failures)}`, reasonOf(state.cause))
  }
}
