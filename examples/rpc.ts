import { NodeRuntime } from "@effect/platform-node"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { Console, Effect, Layer, Stream } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { RpcConnection } from "effect-client-service-rpc"
import { port, Rates, ServerLive } from "./support/rates.js"

const ProtocolLive = RpcConnection.layer({
  endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port }),
  // Nobody gets a connection that is not logged in.
  prepare: (connection) =>
    Effect.flatMap(RpcConnection.client(connection, Rates), (client) => client.Login({ token: "open sesame" }))
}).pipe(Layer.provide(RpcSerialization.layerNdjson))

const program = Effect.gen(function* () {
  const client = yield* RpcClient.make(Rates)
  yield* Console.log(`rate: ${yield* client.Rate({ currency: "EUR" })}`)
  yield* Stream.runForEach(client.Changes({ currency: "EUR" }), (rate) => Console.log(`change: ${rate}`))

  // The server crashes. A call in flight fails at once; a later one waits for the next connection.
  const error = yield* Effect.flip(client.Crash())
  yield* Console.log(`lost: ${error.message}`)
  yield* Console.log(`rate: ${yield* client.Rate({ currency: "EUR" })}`)
})

NodeRuntime.runMain(program.pipe(Effect.scoped, Effect.provide(ProtocolLive), Effect.provide(ServerLive)))
