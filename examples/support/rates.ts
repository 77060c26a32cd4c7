/**
 * A server of `@effect/rpc` over TCP. It stands in for yours.
 */
import { once } from "node:events"
import * as net from "node:net"
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "@effect/rpc"
import { Effect, Layer, Option, Schema, Stream } from "effect"

export class WrongToken extends Schema.TaggedError<WrongToken>()("WrongToken", {}) {}

export class Rates extends RpcGroup.make(
  Rpc.make("Login", { payload: { token: Schema.String }, error: WrongToken }),
  Rpc.make("Rate", { payload: { currency: Schema.String }, success: Schema.Number }),
  Rpc.make("Changes", { payload: { currency: Schema.String }, success: Schema.Number, stream: true }),
  Rpc.make("Crash")
) {}

const free = net.createServer().listen(0, "127.0.0.1")
await once(free, "listening")
const address = free.address()
if (address === null || typeof address === "string") throw new Error("There is no port to listen on")
export const { port } = address
free.close()
await once(free, "close")

const handlers = Rates.toLayer({
  Login: ({ token }) => (token === "open sesame" ? Effect.void : new WrongToken()),
  Rate: () => Effect.succeed(1.25),
  Changes: () => Stream.make(1.25, 1.26, 1.27),
  // The connection breaks off, as it does when the process of the server ends.
  Crash: () =>
    Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (socket) => {
      if (Option.isSome(socket)) socket.value.resetAndDestroy()
      return Effect.never
    })
})

export const ServerLive = RpcServer.layer(Rates).pipe(
  Layer.provide(handlers),
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide(NodeSocketServer.layer({ host: "127.0.0.1", port })),
  Layer.provide(RpcSerialization.layerNdjson)
)
