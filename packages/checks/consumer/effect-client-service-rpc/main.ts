import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
import { Effect, Layer, Queue, Schema, Stream } from "effect"
import { ConnectionError, Endpoint, RetryPolicy, type Transport } from "effect-client-service"
import { RpcConnection } from "effect-client-service-rpc"

const Rpcs = RpcGroup.make(Rpc.make("Double", { payload: { n: Schema.Number }, success: Schema.Number }))

// Loses its first connection when it is asked something, and answers on later ones.
let connections = 0
const endpoint = Endpoint.make({
  name: "doubler",
  connect: (signal: Endpoint.ConnectionSignal<never>) =>
    Effect.map(Queue.unbounded<Uint8Array>(), (answers): Transport.Transport => {
      connections += 1
      const isFirst = connections === 1
      return {
        incoming: Stream.fromQueue(answers),
        write: (chunk) =>
          Effect.suspend(() => {
            const { id: requestId, payload } = JSON.parse(String(chunk))
            if (isFirst) return Effect.sync(() => signal.lost())
            const exit = { _tag: "Success", value: 2 * payload.n }
            return Queue.offer(
              answers,
              new TextEncoder().encode(`${JSON.stringify({ _tag: "Exit", requestId, exit })}\n`)
            )
          }),
        end: Effect.void,
        remote: "memory"
      }
    })
})

const ProtocolLive = RpcConnection.layer({ endpoint, retryPolicy: RetryPolicy.fromFunction(() => "10 millis") }).pipe(
  Layer.provide(RpcSerialization.layerNdjson)
)

const program = Effect.gen(function* () {
  const client = yield* RpcClient.make(Rpcs)
  const error = yield* Effect.flip(client.Double({ n: 1 }))
  return { isLost: error.cause instanceof ConnectionError.ConnectionLost, answer: yield* client.Double({ n: 2 }) }
})

const { answer, isLost } = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(ProtocolLive)))
if (!isLost || answer !== 4) throw new Error(`${answer}, ${isLost}`)
