/**
 * Layers of what a driver makes over a service.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type {
  AttemptError,
  ClientService,
  RetriesExhausted,
  ServiceStopped,
  WaitError,
  WaitForConnection
} from "effect-client-service/ClientService"
import { InvalidOption } from "effect-client-service/InvalidOption"
import * as Validate from "./Validate.js"

/**
 * What a driver gives: an API over a service, which can be had too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driven<P, E> {
  readonly service: ClientService<P, E>
}

/**
 * When a driver probes its connection, by a probe of its own; or `false` for not at all.
 *
 * @since 0.1.0
 * @category options
 */
export type Heartbeat =
  | {
      /** How long after the connection is up, or the last answer, the next probe is due. */
      readonly interval?: Duration.DurationInput | undefined
      /** How long a probe may take. */
      readonly timeout?: Duration.DurationInput | undefined
    }
  | false

/**
 * Makes a Layer of what a driver makes and starts, as `ClientService.layer` does of a service: with `waitForConnection` it
 * is built once there is a connection.
 *
 * @since 0.1.0
 * @category layers
 * @throws InvalidOption if `waitForConnection.failAfterFailures` is no integer of at least 1
 */
export function make<Id, S extends Driven<P, E>, R, P, E, W extends WaitForConnection = never>(
  where: string,
  tag: Context.Tag<Id, S & Driven<P, E>>,
  started: Effect.Effect<S & Driven<P, E>, never, R>,
  waitForConnection?: W | undefined
): Layer.Layer<Id, WaitError<W, E>, Exclude<R, Scope.Scope>>
export function make<Id, S, R, P, E>(
  where: string,
  tag: Context.Tag<Id, S & Driven<P, E>>,
  started: Effect.Effect<S & Driven<P, E>, never, R>,
  waitForConnection?: WaitForConnection | undefined
): Layer.Layer<Id, AttemptError<E> | ServiceStopped | RetriesExhausted<E>, Exclude<R, Scope.Scope>> {
  const failures = waitForConnection?.failAfterFailures
  if (failures !== undefined) Validate.integer(where, "waitForConnection.failAfterFailures", failures, 1)
  if (waitForConnection === undefined) return Layer.scoped(tag, started)
  return Layer.scoped(
    tag,
    Effect.tap(started, ({ service }) => service.whenConnected(waitForConnection))
  )
}

/**
 * Makes a Layer of options that are read from the configuration. What makes no sense there is a `ConfigError`,
 * whose path is the name of the option.
 *
 * @since 0.1.0
 * @category layers
 */
export const config = <Options, Endpoint, A, E, R>(
  options: Config.Config.Wrap<Options>,
  endpoint: (options: Options) => Endpoint,
  layer: (endpoint: Endpoint) => Layer.Layer<A, E, R>
): Layer.Layer<A, E | ConfigError.ConfigError, R> =>
  Layer.unwrapEffect(
    Effect.map(
      Config.mapOrFail(Config.unwrap(options), (options) =>
        Either.try({ try: () => endpoint(options), catch: configErrorOf })
      ),
      layer
    )
  )

const configErrorOf = (error: unknown): ConfigError.ConfigError =>
  ConfigError.InvalidData(error instanceof InvalidOption ? [error.option] : [], String(error))
