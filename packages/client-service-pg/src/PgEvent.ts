/**
 * What whoever listens to a channel is told.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

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
