import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Endpoint } from "effect-client-service"
import * as nats from "nats"
import * as natsServer from "test-servers/nats"
import { type Call, type Client, Failed, type Server, serverOf } from "./Client.js"

const connect = (
  { host, password, port, user }: Server,
  options: nats.ConnectionOptions
): Effect.Effect<nats.NatsConnection, Failed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => nats.connect({ servers: `${host}:${port}`, user, pass: password, ...options }),
      catch: (cause) => new Failed(cause)
    }),
    (connection) => Effect.promise(() => connection.close())
  )

const callOf = (connection: nats.NatsConnection): Call => {
  connection.subscribe("echo", { callback: (_error, message) => void message.respond() })
  return () => connection.request("echo")
}

export const natsClient: Client = {
  name: "`nats`",
  server: serverOf(natsServer.install, natsServer.make),
  alone: (server) => Effect.map(Effect.orDie(connect(server, { pingInterval: 1000 })), callOf),
  endpoint: (server) =>
    Endpoint.make({
      name: "nats",
      connect: (signal: Endpoint.ConnectionSignal<Failed>) =>
        Effect.map(connect(server, { reconnect: false, timeout: 2000 }), (connection) => {
          const onClosed = (cause: unknown) => signal.lost(cause ? new Failed(cause) : undefined)
          connection.closed().then(onClosed, onClosed)
          return callOf(connection)
        })
    })
}
