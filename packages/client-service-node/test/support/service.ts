import { type Duration, Effect, Logger, LogLevel, type Scope, Stream } from "effect"
import { ClientService, type ConnectionState, type Endpoint, RetryPolicy, type Transport } from "effect-client-service"
import type { ConnectError } from "effect-client-service-node"

export type Service<E = ConnectError.ConnectError> = ClientService.ClientService<Transport.Transport, E>

export type SocketEndpoint = Endpoint.Endpoint<Transport.Transport, ConnectError.ConnectError>

export interface Options<E> {
  readonly prepare?: (transport: Transport.Transport) => Effect.Effect<unknown, E, Scope.Scope>
  readonly retryPolicy?: RetryPolicy.RetryPolicy<unknown>
  readonly connectTimeout?: Duration.DurationInput
  readonly closeTimeout?: Duration.DurationInput
  readonly heartbeat?: ClientService.Heartbeat<Transport.Transport, Effect.Effect<unknown, E>>
  readonly maxAge?: Duration.DurationInput
}

/** A service that is started and retries after 20 ms, unless told otherwise. */
export const startService = <E1, E = never>(
  endpoint: Endpoint.Endpoint<Transport.Transport, E1>,
  options: Options<E> = {}
): Effect.Effect<Service<E1 | E>, never, Scope.Scope> =>
  ClientService.make({ retryPolicy: RetryPolicy.fromFunction(() => 20), ...options, endpoint }).pipe(
    Effect.tap((service) => service.start),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

/** Makes one connection, and does not mind its loss. */
export const connectOnce = <A, E>(endpoint: Endpoint.Endpoint<A, E>) => endpoint.connect({ lost: () => {} })

/** Gives the error of an attempt that fails. */
export const failureOf = (endpoint: SocketEndpoint) => Effect.flip(Effect.scoped(connectOnce(endpoint)))

/** Waits until a service is in a state, and gives that. */
export const stateOf = <E, Tag extends ConnectionState.ConnectionState<unknown>["_tag"]>(
  service: Service<E>,
  tag: Tag
) =>
  service.state.changes.pipe(
    Stream.filter(
      (state): state is Extract<ConnectionState.ConnectionState<Transport.Transport, E>, { readonly _tag: Tag }> =>
        state._tag === tag
    ),
    Stream.runHead,
    Effect.flatten,
    Effect.orDie
  )

/** Reads text from a transport, until there is as much as is waited for. */
export const readText = (transport: Transport.Transport, length: number) =>
  transport.incoming.pipe(
    Stream.decodeText(),
    Stream.scan("", (text, more) => text + more),
    Stream.takeUntil((text) => text.length >= length),
    Stream.runLast,
    Effect.flatten
  )
