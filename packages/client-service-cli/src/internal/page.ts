/**
 * A page in the browser that shows the services of the command, live; and beside it what health checks ask for.
 */
import { createServer } from "node:http"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ClientServices } from "effect-client-service/ClientServices"
import * as Health from "effect-client-service/Health"
import * as Devtools from "effect-client-service-devtools/Devtools"
import { codeOfNode, ListenError } from "./listenError.js"

export interface PageOptions {
  readonly host: string
  readonly port: number
  /** Whether the page has buttons. */
  readonly actions: boolean
  readonly title: string
}

/** Shows it until the Scope closes, and gives its URL. */
export const showPage = ({
  actions,
  host,
  port,
  title
}: PageOptions): Effect.Effect<string, ListenError, Scope.Scope | ClientServices> =>
  Effect.gen(function* () {
    const server = yield* Effect.mapError(
      NodeHttpServer.make(createServer, { host, port }),
      ({ cause }) => new ListenError({ host, port, code: codeOfNode(cause) })
    )
    const app = HttpRouter.empty.pipe(
      HttpRouter.concat(Devtools.routes({ path: "/", title, actions, hosts: [host] })),
      HttpRouter.concat(Health.routes)
    )
    yield* Effect.provideService(HttpServer.serveEffect(app), HttpServer.HttpServer, server)
    const bound = server.address._tag === "TcpAddress" ? server.address.port : port
    return `http://${host.includes(":") ? `[${host}]` : host}:${bound}/`
  })
