import { RpcClient, RpcSerialization } from "@effect/rpc"
import { Effect, Layer } from "effect"
import { ConnectionError } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { RpcConnection } from "effect-client-service-rpc"
import { Doubling } from "./doubling.js"
import { drive } from "./drive.js"
import { main } from "./world.js"

await main((world) =>
  Effect.gen(function* () {
    const client = yield* RpcClient.make(Doubling)
    const isLost = (error: { readonly cause?: unknown }) => error.cause instanceof ConnectionError.ConnectionLost
    yield* drive(world, "peer", client.Double({ n: 21 }), client.Double({ n: 0 }), isLost)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      RpcConnection.layer({ endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port: world.rpc }) }).pipe(
        Layer.provide(RpcSerialization.layerNdjson)
      )
    )
  )
)
