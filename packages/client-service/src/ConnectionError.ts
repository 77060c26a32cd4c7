/**
 * What can end an attempt or a connection, and what waiting for one can fail with.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type { ConnectionState } from "./ConnectionState.js"
import { firstLine } from "./internal/firstLine.js"

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
 * The parts of an attempt, in order.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectStage = "connect" | "protocol" | "prepare"

/**
 * An attempt took longer than the service's `connectTimeout`. It covers connect, `protocol` and `prepare` together.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectTimeout extends Data.TaggedError("ConnectTimeout")<{
  readonly service: string
  readonly duration: Duration.Duration
  /** What was under way when the time was over. */
  readonly stage: ConnectStage
}> {
  override get message(): string {
    return `${this.service}: no connection within ${Duration.format(this.duration)}`
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
    const reason = this.cause instanceof Error ? `: ${this.cause.message}` : ""
    return `${this.service}: the connection was lost${reason}`
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
 * There was no connection within `maxWait`. `state` is what the service was doing by then.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotConnected<out E = unknown> extends Data.TaggedError("NotConnected")<{
  readonly service: string
  readonly state: ConnectionState<unknown, unknown>
}> {
  declare readonly state: ConnectionState<unknown, E>

  constructor(args: { readonly service: string; readonly state: ConnectionState<unknown, E> }) {
    super(args)
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
    const times = this.failures === 1 ? "1 failure" : `${this.failures} failures in a row`
    return `${this.service}: gave up after ${times}: ${firstLine(this.cause)}`
  }
}
