/**
 * Prices from a NATS server, by the `nats` client with its own reconnecting off, as a driver:
 * `tsx nats.ts nats://127.0.0.1:4222 alice secret`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Data, Effect, Redacted, Stream } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
import { Address, Credential, DriverLayer, ServerUrl } from "effect-client-service-driver"
import * as client from "nats"

class NatsError extends Data.TaggedError("NatsError")<{
  readonly reason: "Credentials" | "Server"
  readonly cause: unknown
}> {}

interface Service {
  readonly service: ClientService.ClientService<client.NatsConnection, NatsError>
  readonly publish: (subject: string, payload: string) => ReturnType<typeof publish>
  readonly subscribe: (subject: string) => ReturnType<typeof subscribe>
}

class Nats extends Context.Tag("app/Nats")<Nats, Service>() {}

interface Options<R> {
  readonly url: Credential.Secret
  readonly password?: Credential.Credential<R> | undefined
}

const serverError = (cause: unknown) => new NatsError({ reason: "Server", cause })

const answered = <A>(promise: () => Promise<A>) => Effect.tryPromise({ try: promise, catch: serverError })

// 1. The endpoint: one connection. It refuses what makes no sense at once, and asks for the password at every attempt.
const endpoint = <R = never>(options: Options<R>) => {
  const url = ServerUrl.parse("Nats.endpoint", "url", options.url, {
    schemes: ["nats"],
    query: [],
    expected: "nats://[username[:password]@]host[:port]"
  })
  const host = Address.host("Nats.endpoint", "url", url.host)
  const server = `${host.includes(":") ? `[${host}]` : host}:${url.port ?? 4222}`
  const password = Credential.reveal<NatsError, R>(
    options.password ?? url.password ?? "",
    (cause) => new NatsError({ reason: "Credentials", cause })
  )
  return Endpoint.make({
    name: `nats://${server}`,
    connect: (signal: Endpoint.ConnectionSignal<NatsError>) =>
      Effect.gen(function* () {
        const secret = yield* password
        // The client can't be told to give up connecting, so it does that by itself in less time than a `stop` waits.
        const connection = yield* Effect.acquireRelease(
          answered(() =>
            client.connect({
              servers: server,
              ...(url.username === undefined ? {} : { user: url.username, pass: secret }),
              timeout: 4000,
              reconnect: false
            })
          ),
          (connection) => Effect.promise(() => connection.close())
        )
        const onClosed = (cause: unknown) => signal.lost(cause ? serverError(cause) : undefined)
        connection.closed().then(onClosed, onClosed)
        return connection
      })
  })
}

// 2. A call: it waits for a connection, is made once, and fails with `ConnectionLost` if the answer does not come.
const publish = (service: Service["service"], subject: string, payload: string) =>
  service.usePromise({
    try: (connection) => {
      connection.publish(subject, payload)
      return connection.flush()
    },
    catch: serverError
  })

// 3. What goes on across connections: it subscribes afresh on each, and tells where something may be missing.
const subscribe = (service: Service["service"], subject: string) =>
  ClientService.stream(service, (connection) => messages(connection, subject), { gap: () => "some may be missing" })

const messages = (connection: client.NatsConnection, subject: string) =>
  Stream.asyncPush<string, NatsError>((emit) =>
    Effect.gen(function* () {
      const callback = (cause: client.NatsError | null, message: client.Msg) =>
        void (cause === null ? emit.single(message.string()) : emit.fail(serverError(cause)))
      yield* Effect.acquireRelease(
        Effect.sync(() => connection.subscribe(subject, { callback })),
        (subscription) => Effect.sync(() => subscription.unsubscribe())
      )
      // The server has answered, so from now on it sends what is published.
      yield* answered(() => connection.flush())
      yield* Console.log("subscribed")
      yield* Effect.addFinalizer(() => Console.log("unsubscribed"))
    })
  )

// 4. The Layer, which starts the service, and stops it in the end.
const layer = <R = never>(options: Options<R>) =>
  DriverLayer.make(
    "Nats.layer",
    Nats,
    ClientService.make({
      endpoint: endpoint(options),
      // A server that has gone silent is noticed within 6 seconds.
      heartbeat: {
        probe: (connection) => answered(() => connection.flush()),
        interval: "4 seconds",
        timeout: "2 seconds"
      }
    }).pipe(
      Effect.tap((service) => service.start),
      Effect.map(
        (service): Service => ({
          service,
          publish: (subject, payload) => publish(service, subject, payload),
          subscribe: (subject) => subscribe(service, subject)
        })
      )
    )
  )

const program = Effect.gen(function* () {
  const nats = yield* Nats
  yield* Stream.runForEach(nats.subscribe("prices.*"), (price) => Console.log(price))
})

const [address = "", username = "", password = ""] = process.argv.slice(2)
const url = address.replace("://", `://${encodeURIComponent(username)}@`)

NodeRuntime.runMain(Effect.provide(program, layer({ url, password: Redacted.make(password) })))
