import { createServer } from "node:http"
import { HttpRouter, HttpServer } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Layer } from "effect"
import { ClientService } from "effect-client-service"
import * as Health from "effect-client-service/Health"
import { Devtools } from "effect-client-service-devtools"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"
import * as Lines from "./support/lines.js"
import { port } from "./support/running.js"

type PeerError = ConnectError.ConnectError | Lines.LinesError

class Orders extends ClientService.Tag("app/Orders")<Orders, Lines.Lines, PeerError>() {}
class Prices extends ClientService.Tag("app/Prices")<Prices, Lines.Lines, PeerError>() {}

const ServicesLive = Layer.merge(
  Orders.layer({
    name: "orders",
    endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port }),
    protocol: Lines.make,
    heartbeat: { probe: (peer) => peer.ask("PING"), interval: "10 seconds", timeout: "2 seconds" }
  }),
  // Nobody listens there.
  Prices.layer({ name: "prices", endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port: 1 }), protocol: Lines.make })
)

// All services are listed that are made under Health.layer, or ClientServices.layer.
const AppLive = Layer.provideMerge(ServicesLive, Health.layer)

const app = HttpRouter.empty.pipe(
  HttpRouter.concat(Health.routes),
  // The page is at /services, and its buttons work.
  HttpRouter.concat(Devtools.routes({ title: "Shop", actions: true }))
)

const HttpLive = HttpServer.serve(app).pipe(
  HttpServer.withLogAddress,
  Layer.provide(AppLive),
  // For those who sit at this machine, since nobody is asked for a password.
  Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: Number(process.env["PORT"] ?? 3000) }))
)

NodeRuntime.runMain(Layer.launch(HttpLive))
