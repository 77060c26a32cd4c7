import * as Effect from "effect/Effect"
import { Endpoint } from "effect-client-service"
import mqtt from "mqtt"
import * as mosquitto from "test-servers/mosquitto"
import { type Call, type Client, Failed, type Server, serverOf } from "./Client.js"

const connect = ({ host, password, port, user }: Server, options?: mqtt.IClientOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => mqtt.connect(`mqtt://${host}:${port}`, { username: user, password, ...options })),
    (client) => Effect.promise(() => client.endAsync(true))
  )

const callOf =
  (client: mqtt.MqttClient): Call =>
  () =>
    client.publishAsync("topic", "message", { qos: 1 })

export const mqttClient: Client = {
  name: "`mqtt`",
  server: serverOf(mosquitto.install, mosquitto.make),
  alone: (server, hasListener) =>
    Effect.map(connect(server, { keepalive: 1 }), (client) => {
      if (hasListener) client.on("error", () => {})
      return callOf(client)
    }),
  endpoint: (server) =>
    Endpoint.make({
      name: "mqtt",
      connect: (signal: Endpoint.ConnectionSignal<Failed>) =>
        Effect.gen(function* () {
          const client = yield* connect(server, { reconnectPeriod: 0 })
          client.on("error", (error) => signal.lost(new Failed(error))).on("close", () => signal.lost())
          yield* Effect.async<void>((resume) => void client.once("connect", () => resume(Effect.void)))
          return callOf(client)
        })
    })
}
