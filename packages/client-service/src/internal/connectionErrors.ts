// Apart from ConnectionError.ts, since NotConnected there has a ConnectionState, which has these.
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type { EndpointFailure } from "../EndpointsFailed.js"
import { messageOf, told } from "./message.js"

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
 * `stage` is what had not finished by then. Of several endpoints or addresses of which one would do, `failures` tells which had
 * failed, and why, in earlier attempts of the round too where `Endpoint.failover` tries one at each; and `pending` which it still
 * waited for, or had connected to.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectTimeout extends Data.TaggedError("ConnectTimeout")<{
  readonly service: string
  readonly duration: Duration.Duration
  readonly stage: "connect" | "protocol" | "prepare"
  readonly failures?: ReadonlyArray<EndpointFailure<unknown>> | undefined
  readonly pending?: ReadonlyArray<string> | undefined
}> {
  override get message(): string {
    const { duration, failures = [], pending = [], service, stage } = this
    const at = pending.length === 0 ? "" : ` at ${pending.join(", ")}`
    const unfinished = `${stage} had not finished${at}`
    return messageOf(
      service,
      `no connection within ${Duration.format(duration)}`,
      [unfinished, ...failures.map(told)].join("; ")
    )
  }
}

/**
 * A connection was lost without an error of its own: the peer closed it, or its signal's `lost` was called with no
 * error; `detail` then tells how it ended, such as that the peer ended it cleanly, where the endpoint tells that. It is also
 * what `use` fails with when the connection under it ends for whatever reason; `cause` is then that reason, and there is none
 * if the service itself has closed it, for `reconnect` or `maxAge`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly service: string
  readonly cause?: unknown
  /** How the connection ended, if it did so without an error. */
  readonly detail?: string | undefined
}> {
  override get message(): string {
    return messageOf(
      this.service,
      "the connection was lost",
      this.cause instanceof Error ? this.cause.message || this.cause.name : this.detail
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
