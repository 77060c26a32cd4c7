import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { NodeEndpoint } from "effect-client-service-node"
import { RpcConnection } from "effect-client-service-rpc"
import { callersOf, timedCalls } from "../callers.js"
import { spawn } from "../child.js"
import { interleave, timed } from "../measure.js"
import type { Row } from "../row.js"
import { Measured } from "../rpcGroup.js"
import { host } from "../tcp.js"

const server = new URL("../servers/rpcServer.js", import.meta.url)

type Client = RpcClient.RpcClient<RpcGroup.Rpcs<typeof Measured>, RpcClientError>

const rpc = (name: string, measure: (client: Client) => Effect.Effect<number>): Row => ({
  name,
  against: "RpcClient.layerProtocolSocket",
  unit: "ms",
  reach: { ratio: 1 },
  samples: Effect.gen(function* () {
    const { next } = yield* spawn(server)
    const port = yield* next
    const subject = yield* clientBy(RpcConnection.layer({ endpoint: NodeEndpoint.tcp({ host, port }) }))
    const rival = yield* clientBy(
      Layer.provide(RpcClient.layerProtocolSocket(), Layer.orDie(NodeSocket.layerNet({ host, port })))
    )
    return yield* interleave({ rounds: 7, warmUp: 2, subject: measure(subject), against: measure(rival) })
  })
})

const clientBy = (protocol: Layer.Layer<RpcClient.Protocol, never, RpcSerialization.RpcSerialization>) =>
  Effect.flatMap(Layer.build(Layer.provide(protocol, RpcSerialization.layerNdjson)), (context) =>
    Effect.provide(RpcClient.make(Measured), context)
  )

const callsBy = (callers: number, calls: number): Row =>
  rpc(`an RPC call, ${callersOf(callers)}`, (client) => timedCalls(calls, callers, () => client.Double({ number: 21 })))

const elements = 100_000

const stream = rpc("an RPC stream of 100,000 elements", (client) =>
  Effect.orDie(timed(Stream.runDrain(client.Numbers({ count: elements }))))
)

export const rpcs: ReadonlyArray<Row> = [callsBy(1, 2_000), callsBy(100, 5_000), callsBy(1_000, 5_000), stream]
