/** A server of `@effect/rpc` by TCP, in a process of its own. */
import * as SocketServer from "@effect/platform/SocketServer"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import { Measured } from "../rpcGroup.js"
import { host } from "../tcp.js"
import { answer } from "./answer.js"

const handlers = Measured.toLayer({
  Double: ({ number }) => Effect.succeed(number * 2),
  // The server waits for the client to take each chunk.
  Numbers: ({ count }) => Stream.rechunk(Stream.range(1, count), 64)
})

const listening = Effect.flatMap(SocketServer.SocketServer, ({ address }) =>
  Effect.sync(() => {
    if (address._tag === "TcpAddress") answer(address.port)
  })
)

Layer.effectDiscard(listening).pipe(
  Layer.merge(RpcServer.layer(Measured).pipe(Layer.provide([handlers, RpcServer.layerProtocolSocketServer]))),
  Layer.provide([NodeSocketServer.layer({ port: 0, host }), RpcSerialization.layerNdjson]),
  Layer.launch,
  Logger.withMinimumLogLevel(LogLevel.None),
  Effect.runFork
)
