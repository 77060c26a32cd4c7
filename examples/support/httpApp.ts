/**
 * An HTTP server in front of a backend, in parts that are to be wired.
 */
import { createServer } from "node:http"
import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect } from "effect"
import { ClientService } from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"
import * as Lines from "./lines.js"

export type BackendError = ConnectError.ConnectError | Lines.LinesError

export class Backend extends ClientService.Tag("app/Backend")<Backend, Lines.Lines, BackendError>() {}

export const BackendLive = Backend.layer({
  endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port: Number(process.env["BACKEND_PORT"] ?? 4000) }),
  protocol: Lines.make,
  // So long may a `use` that is under way go on when the service is stopped.
  drainTimeout: "10 seconds"
})

const server = createServer()

export const ServerLive = NodeHttpServer.layer(() => server, {
  host: "127.0.0.1",
  port: Number(process.env["PORT"] ?? 3000)
})

export const HttpLive = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/",
    Backend.use((backend) => backend.ask("ECHO hello")).pipe(
      Effect.flatMap((answer) => HttpServerResponse.text(answer)),
      Effect.catchAll((error) => HttpServerResponse.text(error.message, { status: 502 }))
    )
  ),
  // On a connection that a client keeps, its next request would come when nobody is there to answer.
  Effect.map((response) =>
    server.listening ? response : HttpServerResponse.setHeader(response, "connection", "close")
  ),
  HttpServer.serve(),
  HttpServer.withLogAddress
)
