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
import {
  type AttemptError,
  type ConnectionError,
  ConnectionLost,
  ConnectTimeout,
  HeartbeatTimeout
} from "./internal/connectionErrors.js"
import { inARow, messageOf, reasonOf } from "./internal/message.js"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type AttemptError,
  /**
   * @since 0.1.0
   * @category models
   */
  type ConnectionError,
  /**
   * @since 0.1.0
   * @category errors
   */
  ConnectionLost,
  /**
   * @since 0.1.0
   * @category errors
   */
  ConnectTimeout,
  /**
   * @since 0.1.0
   * @category errors
   */
  HeartbeatTimeout
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
 * The retry policy ended, so the service has given up until `start` or `reconnect`. `cause` is that of the last failure,
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
