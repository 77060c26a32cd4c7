import { Effect, Layer, Logger, LogLevel } from "effect"
import type { Endpoint, Transport } from "effect-client-service"
import { RpcConnection } from "effect-client-service-rpc"
import { Address } from "./servers.js"

/** The protocol of a client, over an endpoint of the server of a test. */
export const ProtocolLive = <E>(endpoint: (port: number) => Endpoint.Endpoint<Transport.Transport, E>) =>
  Layer.unwrapEffect(Effect.map(Address, ({ port }) => RpcConnection.layer({ endpoint: endpoint(port) }))).pipe(
    Layer.provide(Logger.minimumLogLevel(LogLevel.None))
  )
