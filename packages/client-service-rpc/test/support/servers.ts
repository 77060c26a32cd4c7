import { createServer } from "node:http"
import { HttpRouter, HttpServer, SocketServer } from "@effect/platform"
import { NodeHttpServer, NodeSocketServer } from "@effect/platform-node"
import { RpcServer } from "@effect/rpc"
import { Context, Effect, Layer } from "effect"
import { NodeEndpoint } from "effect-client-service-node"

const host = "127.0.0.1"

/** Where the server of a test is reached. */
export class Address extends Context.Tag("test/Address")<Address, { readonly port: number }>() {}

const portOf = (address: HttpServer.Address | SocketServer.Address): { readonly port: number } => {
  if (address._tag === "UnixAddress") throw new Error("not a TCP server")
  return { port: address.port }
}

/** A way to reach a server: how it listens, and how a client connects to it. */
export const tcp = {
  listen: (port = 0) =>
    Layer.effect(
      Address,
      Effect.map(SocketServer.SocketServer, ({ address }) => portOf(address))
    ).pipe(Layer.merge(RpcServer.layerProtocolSocketServer), Layer.provide(NodeSocketServer.layer({ port, host }))),
  endpoint: (port: number) => NodeEndpoint.tcp({ host, port })
}

export const webSocket = {
  listen: (port = 0) =>
    Layer.effect(
      Address,
      Effect.map(HttpServer.HttpServer, ({ address }) => portOf(address))
    ).pipe(
      Layer.merge(HttpRouter.Default.serve()),
      Layer.provideMerge(RpcServer.layerProtocolWebsocket({ path: "/rpc" })),
      Layer.provide(NodeHttpServer.layer(createServer, { port, host }))
    ),
  endpoint: (port: number) => NodeEndpoint.webSocket(`ws://${host}:${port}/rpc`)
}
