import { Rpc, RpcClient, RpcClientError, RpcGroup, RpcSerialization } from "@effect/rpc"
import { Effect, Schema, type Scope } from "effect"
import { ClientService, RetryPolicy, TestEndpoint, type Transport } from "effect-client-service"
import { RpcConnection, type RpcConnectionError } from "effect-client-service-rpc"
import { makePeer } from "./peer.js"

export class Rpcs extends RpcGroup.make(
  Rpc.make("Double", { payload: { n: Schema.Number }, success: Schema.Number }),
  Rpc.make("Ticks", { success: Schema.Number, stream: true }),
  Rpc.make("Keep", { payload: { value: Schema.Unknown } }),
  Rpc.make("Login", { payload: { user: Schema.String }, success: Schema.Void, error: Schema.Literal("wrong") })
) {}

export type TestError = "refused" | "broken"

export type Service = ClientService.ClientService<
  RpcConnection.RpcConnection,
  TestError | "wrong" | RpcClientError.RpcClientError | RpcConnectionError.RpcConnectionError
>

/** Lets every fiber that can go on do so. */
export const settle = Effect.repeatN(Effect.yieldNow(), 100)

export interface Options
  extends RpcConnection.ProtocolOptions,
    Pick<
      ClientService.CommonOptions<
        RpcConnection.RpcConnection,
        unknown,
        Effect.Effect<unknown, "wrong" | RpcClientError.RpcClientError, Scope.Scope>,
        never,
        never
      >,
      "prepare" | "retryPolicy" | "maxAge" | "closeTimeout"
    > {
  readonly heartbeat?: ReturnType<typeof RpcConnection.heartbeat>
}

/** A service over a test endpoint that retries after a second, and a client of it. It is not started. */
export const makeFixture = ({ maxWait, ...options }: Options = {}) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<Transport.Transport, TestError>()
    const service: Service = yield* ClientService.make({
      retryPolicy: RetryPolicy.fromFunction(() => "1 second"),
      ...options,
      endpoint: server.endpoint,
      protocol: RpcConnection.make
    })
    const client = yield* clientOf(service, { maxWait })

    /** Accepts the attempt under way, or the next one. */
    const accept = Effect.gen(function* () {
      const peer = yield* makePeer
      return { ...peer, ...(yield* server.accept(peer.transport)) }
    })
    /** Starts the service, and has it connected. */
    const connect = service.start.pipe(
      Effect.zipRight(accept),
      Effect.zipLeft(options.prepare === undefined ? service.whenConnected() : Effect.void)
    )
    return { server, service, client, accept, connect }
  }).pipe(Effect.provide(RpcSerialization.layerNdjson))

export const clientOf = (service: Service, options?: RpcConnection.ProtocolOptions) =>
  Effect.provideService(RpcClient.make(Rpcs), RpcClient.Protocol, RpcConnection.makeProtocol(service, options))

/** The cause of the `RpcClientError` that an Effect fails with. */
export const causeOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<unknown, A, R> =>
  Effect.flip(effect).pipe(
    Effect.flatMap((error) =>
      error instanceof RpcClientError.RpcClientError && error.reason === "Protocol"
        ? Effect.succeed(error.cause)
        : Effect.dieMessage(`not a RpcClientError: ${error}`)
    )
  )
