/**
 * Prices from an MQTT server, by the `mqtt` client with its own reconnecting off: `tsx mqtt.ts mqtt://127.0.0.1 alice secret`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Stream } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
import mqtt from "mqtt"

class MqttError extends Data.TaggedError("MqttError")<{ readonly cause: unknown }> {}

class Mqtt extends ClientService.Tag("app/Mqtt")<Mqtt, mqtt.MqttClient, MqttError>() {}

const endpoint = (url: string, options: mqtt.IClientOptions) =>
  Endpoint.make({
    name: "mqtt",
    connect: (signal: Endpoint.ConnectionSignal<MqttError>) =>
      Effect.gen(function* () {
        const client = yield* Effect.acquireRelease(
          Effect.sync(() =>
            mqtt
              .connect(url, { ...options, reconnectPeriod: 0 })
              // Before it is connected, a loss is what fails the attempt.
              .on("error", (cause) => signal.lost(new MqttError({ cause })))
              .on("close", () => signal.lost())
          ),
          (client) => Effect.promise(() => client.endAsync(true))
        )
        yield* Effect.async<void>((resume) => void client.once("connect", () => resume(Effect.void)))
        return client
      })
  })

// Subscribes when it is run, which `ClientService.stream` does afresh on every connection.
const messages = (client: mqtt.MqttClient, topic: string) =>
  Stream.asyncPush<string, MqttError>((emit) =>
    Effect.gen(function* () {
      const onMessage = (_topic: string, payload: Buffer) => void emit.single(payload.toString())
      yield* Effect.acquireRelease(
        Effect.sync(() => client.on("message", onMessage)),
        () => Effect.sync(() => client.off("message", onMessage))
      )
      yield* Effect.tryPromise({
        try: () => client.subscribeAsync(topic),
        catch: (cause) => new MqttError({ cause })
      })
      yield* Console.log("subscribed")
    })
  )

const program = Effect.gen(function* () {
  const prices = ClientService.stream(
    yield* Mqtt,
    (client) => Stream.ensuring(messages(client, "prices/#"), Console.log("unsubscribed")),
    { gap: () => "some may be missing" }
  )
  yield* Stream.runForEach(prices, (price) => Console.log(price))
})

const [url = "", username = "", password = ""] = process.argv.slice(2)

// A server that has gone silent is noticed by the pings of MQTT itself.
const MqttLive = Mqtt.layer({ endpoint: endpoint(url, { username, password, keepalive: 4 }) })

NodeRuntime.runMain(Effect.provide(program, MqttLive))
