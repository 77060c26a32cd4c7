import { type ChannelModel, type ConfirmChannel, connect } from "amqplib"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Endpoint } from "effect-client-service"
import { AmqpEndpoint } from "effect-client-service-amqp"
import * as rabbitmq from "test-servers/rabbitmq"
import { type Client, Failed, type Server, serverOf } from "./Client.js"

const publish = async (channel: ConfirmChannel): Promise<void> => {
  channel.publish("amq.direct", "", Buffer.from("message"))
  await channel.waitForConfirms()
}

/** As its documentation has an application do it: with a channel that is opened anew on every connection. */
const recovering = async ({ host, password, port, user }: Server) => {
  const opened: { channel?: ConfirmChannel } = {}
  const connection = await connect(
    { hostname: host, port, username: user, password, heartbeat: 1 },
    {
      recovery: {
        setup: async (model: ChannelModel) => {
          opened.channel = await model.createConfirmChannel()
        }
      }
    }
  )
  const call = async () => {
    if (opened.channel !== undefined) await publish(opened.channel)
  }
  return { connection, call }
}

export const amqpClient: Client = {
  name: "`amqplib` with `recovery`",
  server: serverOf(rabbitmq.install, (paths) =>
    Effect.map(
      rabbitmq.make(paths),
      (server): Server => ({
        ...server,
        setPassword: (password) => server.control("change_password", server.user, password)
      })
    )
  ),
  alone: (server, hasListener) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.promise(() => recovering(server)),
        // It may wait for the goodbye of a server that is gone. It connects no more as soon as it is called.
        ({ connection }) =>
          Effect.promise(() => connection.close()).pipe(Effect.interruptible, Effect.timeoutOption("1 second"))
      ),
      ({ call, connection }) => {
        if (hasListener) connection.on("error", () => {})
        return call
      }
    ),
  under: "`effect-client-service-amqp`",
  endpoint: ({ host, password, port, user }) =>
    AmqpEndpoint.make({
      host,
      port,
      username: user,
      password: Redacted.make(password),
      heartbeat: "1 second"
    }).pipe(
      Endpoint.mapError((error) => new Failed(error.reason)),
      Endpoint.map((connection) => () => Effect.runPromise(connection.use(publish)))
    )
}
