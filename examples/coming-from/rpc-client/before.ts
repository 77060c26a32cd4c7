import { NodeSocket } from "@effect/platform-node"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { Effect, Layer, Schedule } from "effect"
import { Counter } from "../../support/counterServer.js"

export const protocol = (port: number) =>
  RpcClient.layerProtocolSocket({ retryTransientErrors: true }).pipe(
    Layer.provide(NodeSocket.layerNet({ host: "127.0.0.1", port })),
    Layer.provide(RpcSerialization.layerNdjson)
  )

export const before = Effect.gen(function* () {
  const client = yield* RpcClient.make(Counter)
  yield* client.Login({ token: "open sesame" })
  // Whatever it was that failed: a call that was done and whose answer was lost is done again.
  const count = client
    .Count()
    .pipe(Effect.retry({ while: (error) => error._tag === "RpcClientError", schedule: Schedule.spaced("50 millis") }))
  return { count }
})
