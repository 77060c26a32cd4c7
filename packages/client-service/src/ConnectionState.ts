/**
 * What a `ClientService` is doing.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type { ConnectionError } from "./internal/connectionErrors.js"

/**
 * The state of a `ClientService`.
 *
 * - `Init`: made, and not started yet.
 * - `Connecting`: an attempt is under way, or waits for the previous connection to close. `attempt` counts the attempts since
 *   `start`, from 1; `cause` is that of the failure before it, if there was one.
 * - `Connected`: `protocol` is ready for use. `generation` counts the connections of this service, from 1. When that
 *   connection is lost, it stays so until the retry policy has answered; the service's own `protocol` is none at once.
 * - `Waiting`: the next attempt begins at `retryAt`.
 * - `Disconnecting`: stopping; the connection or the attempt is being closed. `uses` counts the `use`s that are still under
 *   way, for which it stays open as long as `drainTimeout` lets it.
 * - `Restarting`: started again while `Disconnecting`.
 * - `Stopped`: nothing is under way.
 * - `Exhausted`: the retry policy ended. Nothing is under way until `start` or `reconnect`.
 *
 * `failures` counts failed attempts and early losses in a row. `connectedAt` and `retryAt` are milliseconds since the
 * epoch, by Effect's `Clock`.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionState<Protocol, E = never> = Data.TaggedEnum<{
  Init: {}
  Connecting: {
    readonly attempt: number
    readonly failures: number
    readonly cause: Option.Option<Cause.Cause<ConnectionError<E>>>
  }
  Connected: { readonly protocol: Protocol; readonly generation: number; readonly connectedAt: number }
  Waiting: {
    readonly failures: number
    readonly delay: Duration.Duration
    readonly retryAt: number
    readonly cause: Cause.Cause<ConnectionError<E>>
  }
  Disconnecting: { readonly uses: number }
  Restarting: {}
  Stopped: {}
  Exhausted: { readonly failures: number; readonly cause: Cause.Cause<ConnectionError<E>> }
}>

interface ConnectionStateDefinition extends Data.TaggedEnum.WithGenerics<2> {
  readonly taggedEnum: ConnectionState<this["A"], this["B"]>
}

export const {
  /**
   * @since 0.1.0
   * @category constructors
   */
  Connected,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Connecting,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Disconnecting,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Exhausted,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Init,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Restarting,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Stopped,
  /**
   * @since 0.1.0
   * @category constructors
   */
  Waiting,
  /**
   * Tells whether a state is the one with the given tag.
   *
   * @since 0.1.0
   * @category refinements
   */
  $is: is,
  /**
   * Takes a function for each state, and applies the one for the state given.
   *
   * @since 0.1.0
   * @category matching
   */
  $match: match
} = Data.taggedEnum<ConnectionStateDefinition>()
