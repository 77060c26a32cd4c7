/**
 * A server of `@effect/rpc` over TCP that counts for whoever has logged in on the same connection. It breaks off the
 * connection of the first that has counted, before the answer.
 */

import { SocketServer } from "@effect/platform"
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "@effect/rpc"
import { Context, Effect, Layer, Option, Schema } from "effect"

export class NotLoggedIn extends Schema.TaggedError<NotLoggedIn>()("NotLoggedIn", {}) {}

export class Counter extends RpcGroup.make(
  Rpc.make("Login", { payload: { token: Schema.String } }),
  Rpc.make("Count", { success: Schema.Number, error: NotLoggedIn })
) {}

/** Serves as long as the Scope is open, and gives its port. */
export const serve = Effect.gen(function* () {
  const loggedIn = new Set<number>()
  let count = 0
  const handlers = Counter.toLayer({
    Login: (_, { clientId }) => Effect.sync(() => void loggedIn.add(clientId)),
    Count: (_, { clientId }) =>
      Effect.gen(function* () {
        if (!loggedIn.has(clientId)) return yield* new NotLoggedIn()
        count += 1
        if (count > 1) return count
        const socket = yield* Effect.serviceOption(NodeSocket.NetSocket)
        if (Option.isSome(socket)) socket.value.resetAndDestroy()
        return yield* Effect.never
      })
  })
  const context = yield* Layer.build(
    RpcServer.layer(Counter).pipe(
      Layer.provide(handlers),
      Layer.provide(RpcServer.layerProtocolSocketServer),
      Layer.provideMerge(NodeSocketServer.layer({ host: "127.0.0.1", port: 0 })),
      Layer.provide(RpcSerialization.layerNdjson)
    )
  )
  const { address } = Context.get(context, SocketServer.SocketServer)
  if (address._tag !== "TcpAddress") return yield* Effect.dieMessage("not a TCP server")
  return address.port
})
