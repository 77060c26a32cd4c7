/**
 * What whoever listens to a channel is told.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * What whoever listens to a channel is told: what was sent to it, and where something may have been missed.
 *
 * @since 0.1.0
 * @category models
 */
export type PgEvent = Notification | Gap

/**
 * Somebody sent this to the channel, by `NOTIFY` or `pg_notify`.
 *
 * @since 0.1.0
 * @category models
 */
export class Notification extends Data.TaggedClass("Notification")<{
  readonly channel: string
  /** The text that was sent, or "" if there was none. */
  readonly payload: string
  /** The id of the sender's process of the server. */
  readonly processId: number
}> {}

/**
 * Notifications may have been missed here. The server tells of all that is sent after a gap, so that whoever reads now what
 * the notifications are about has seen everything.
 *
 * - `Started`: what was sent before anybody listened, if it is asked for.
 * - `Reconnected`: what was sent while there was no connection, or had arrived and was not taken yet.
 * - `Overflow`: what waited for a consumer that was too slow.
 *
 * @since 0.1.0
 * @category models
 */
export class Gap extends Data.TaggedClass("Gap")<{
  readonly channel: string
  readonly reason: "Started" | "Reconnected" | "Overflow"
}> {}
