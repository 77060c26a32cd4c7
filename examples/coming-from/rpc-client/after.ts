import { RpcClient, RpcSerialization } from "@effect/rpc"
import { Effect, Layer } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { RpcConnection } from "effect-client-service-rpc"
import { Counter } from "../../support/counterServer.js"

export const protocol = (port: number) =>
  RpcConnection.layer({
    endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port }),
    // On each connection, before anyone has it.
    prepare: (connection) =>
      Effect.flatMap(RpcConnection.client(connection, Counter), (client) => client.Login({ token: "open sesame" }))
  }).pipe(Layer.provide(RpcSerialization.layerNdjson))

export const after = Effect.gen(function* () {
  const client = yield* RpcClient.make(Counter)
  // Waits while there is no connection. The `cause` of a failure says whether the call may have been done.
  return { count: client.Count() }
})
