/**
 * How a stream that goes on across connections tells where something may be missing.
 *
 * @since 0.1.0
 */

/**
 * Why something may be missing.
 *
 * - `Reconnected`: what came while there was no connection, or was on its way when it was lost.
 * - `Overflow`: what there was no room for, since its consumer is slow.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "Reconnected" | "Overflow"

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<Subscribed, Gap> {
  /** Gives the first element, which comes once the server has confirmed: all that is sent after it is seen. */
  readonly subscribed?: (() => Subscribed) | undefined
  /**
   * Gives the element that tells that something may be missing here. After a loss, it comes when the server has confirmed
   * anew: all that is sent after it is seen. Without it, nothing tells of what is missing.
   */
  readonly gap?: ((reason: Reason) => Gap) | undefined
}
