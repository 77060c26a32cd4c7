import { Socket } from "node:net"
import * as Effect from "effect/Effect"
import { Endpoint } from "effect-client-service"
import pg from "pg"
import * as postgres from "test-servers/postgres"
import { type Client, Failed, type Server, serverOf } from "./Client.js"

const configOf = ({
  host,
  password,
  port,
  user
}: Pick<Server, "host" | "password" | "port" | "user">): pg.ClientConfig => ({
  host,
  port,
  user,
  password,
  database: "postgres"
})

export const pgClient: Client = {
  name: "`pg.Pool`",
  server: serverOf(postgres.install, (paths) =>
    Effect.map(postgres.make(paths), (server): Server => {
      let current = server.password
      return {
        ...server,
        setPassword: (password) =>
          Effect.promise(async () => {
            const client = new pg.Client(configOf({ ...server, password: current }))
            await client.connect()
            await client.query(
              `ALTER USER ${client.escapeIdentifier(server.user)} PASSWORD ${client.escapeLiteral(password)}`
            )
            await client.end()
            current = password
          })
      }
    })
  ),
  alone: (server, hasListener) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new pg.Pool(configOf(server))),
        (pool) => Effect.promise(() => pool.end())
      ),
      (pool) => {
        if (hasListener) pool.on("error", () => {})
        return () => pool.query("SELECT 1")
      }
    ),
  endpoint: (server) =>
    Endpoint.make({
      name: "postgres",
      connect: (signal: Endpoint.ConnectionSignal<Failed>) =>
        Effect.gen(function* () {
          // A server that has gone silent does not answer the goodbye of the client, which waits for that.
          const socket = yield* Effect.acquireRelease(
            Effect.sync(() => new Socket()),
            (socket) => Effect.sync(() => socket.destroy())
          )
          const client = new pg.Client({ ...configOf(server), stream: () => socket })
          client.on("error", (error) => signal.lost(new Failed(error))).on("end", () => signal.lost())
          yield* Effect.tryPromise({ try: () => client.connect(), catch: (cause) => new Failed(cause) })
          // It takes one query at a time.
          let turn: Promise<unknown> = Promise.resolve()
          return () => {
            const query = () => client.query("SELECT 1")
            turn = turn.then(query, query)
            return turn
          }
        })
    })
}
