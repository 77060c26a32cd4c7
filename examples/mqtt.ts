/**
 * Prices from an MQTT server, by the `mqtt` client with its own reconnecting off, as a driver:
 * `tsx mqtt.ts mqtt://127.0.0.1 alice secret`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Data, Effect, Redacted, Stream } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
import { Credential, DriverLayer, ServerUrl } from "effect-client-service-driver"
import client from "mqtt"

// #region readme
class MqttError extends Data.TaggedError("MqttError")<{
  readonly reason: "Credentials" | "Server"
  readonly cause: unknown
}> {}

interface Service {
  readonly service: ClientService.ClientService<client.MqttClient, MqttError>
  readonly publish: (topic: string, payload: string) => ReturnType<typeof publish>
  readonly subscribe: (topic: string) => ReturnType<typeof subscribe>
}

class Mqtt extends Context.Tag("app/Mqtt")<Mqtt, Service>() {}

interface Options<R> {
  readonly url: Credential.Secret
  readonly password?: Credential.Credential<R> | undefined
}

const serverError = (cause: unknown) => new MqttError({ reason: "Server", cause })

// 1. The endpoint: one connection. It refuses what makes no sense at once, and asks for the password at every attempt.
const endpoint = <R = never>(options: Options<R>) => {
  const url = ServerUrl.parse("Mqtt.endpoint", "url", options.url, {
    schemes: ["mqtt", "mqtts"],
    query: [],
    expected: "mqtt://[username[:password]@]host[:port]"
  })
  const host = url.port === undefined ? url.host : `${url.host}:${url.port}`
  const password = Credential.reveal<MqttError, R>(
    options.password ?? url.password ?? "",
    (cause) => new MqttError({ reason: "Credentials", cause })
  )
  return Endpoint.make({
    name: `${url.scheme}://${host}`,
    connect: (signal: Endpoint.ConnectionSignal<MqttError>) =>
      Effect.gen(function* () {
        const secret = yield* password
        const connection = yield* Effect.acquireRelease(
          Effect.sync(() =>
            client
              .connect(`${url.scheme}://${host}`, {
                ...(url.username === undefined ? {} : { username: url.username, password: secret }),
                reconnectPeriod: 0,
                // A server that has gone silent is noticed by the pings of MQTT itself.
                keepalive: 4
              })
              // Before it is connected, a loss is what fails the attempt.
              .on("error", (cause) => signal.lost(serverError(cause)))
              .on("close", () => signal.lost())
          ),
          (connection) => Effect.promise(() => connection.endAsync(true))
        )
        yield* Effect.async<void>((resume) => void connection.once("connect", () => resume(Effect.void)))
        return connection
      })
  })
}

// 2. A call: it waits for a connection, is made once, and fails with `ConnectionLost` if the answer does not come.
const publish = (service: Service["service"], topic: string, payload: string) =>
  service.usePromise({ try: (client) => client.publishAsync(topic, payload, { qos: 1 }), catch: serverError })

// 3. What goes on across connections: it subscribes afresh on each, and tells where something may be missing.
const subscribe = (service: Service["service"], topic: string) =>
  ClientService.stream(service, (connection) => messages(connection, topic), { gap: () => "some may be missing" })

const messages = (connection: client.MqttClient, topic: string) =>
  Stream.asyncPush<string, MqttError>((emit) =>
    Effect.gen(function* () {
      const onMessage = (_topic: string, payload: Buffer) => void emit.single(payload.toString())
      yield* Effect.acquireRelease(
        Effect.sync(() => connection.on("message", onMessage)),
        () => Effect.sync(() => connection.off("message", onMessage))
      )
      yield* Effect.tryPromise({ try: () => connection.subscribeAsync(topic), catch: serverError })
      yield* Console.log("subscribed")
      yield* Effect.addFinalizer(() => Console.log("unsubscribed"))
    })
  )

// 4. The Layer, which starts the service, and stops it in the end.
const layer = <R = never>(options: Options<R>) =>
  DriverLayer.make(
    "Mqtt.layer",
    Mqtt,
    ClientService.make({ endpoint: endpoint(options) }).pipe(
      Effect.tap((service) => service.start),
      Effect.map(
        (service): Service => ({
          service,
          publish: (topic, payload) => publish(service, topic, payload),
          subscribe: (topic) => subscribe(service, topic)
        })
      )
    )
  )
// #endregion

const program = Effect.gen(function* () {
  const mqtt = yield* Mqtt
  yield* Stream.runForEach(mqtt.subscribe("prices/#"), (price) => Console.log(price))
})

const [address = "", username = "", password = ""] = process.argv.slice(2)
const url = address.replace("://", `://${encodeURIComponent(username)}@`)

NodeRuntime.runMain(Effect.provide(program, layer({ url, password: Redacted.make(password) })))
