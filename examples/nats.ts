/**
 * Prices from a NATS server, by the `nats` client with its own reconnecting off: `tsx nats.ts 127.0.0.1:4222 alice secret`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Stream } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
import * as nats from "nats"

class NatsError extends Data.TaggedError("NatsError")<{ readonly cause: unknown }> {}

class Nats extends ClientService.Tag("app/Nats")<Nats, nats.NatsConnection, NatsError>() {}

const fromPromise = <A>(promise: () => Promise<A>) =>
  Effect.tryPromise({ try: promise, catch: (cause) => new NatsError({ cause }) })

const endpoint = (options: nats.ConnectionOptions) =>
  Endpoint.make({
    name: "nats",
    connect: (signal: Endpoint.ConnectionSignal<NatsError>) =>
      // The client can't be told to give up connecting, so it does that by itself in less time than a `stop` waits.
      Effect.acquireRelease(
        fromPromise(() => nats.connect({ timeout: 4000, ...options, reconnect: false })),
        (connection) => Effect.promise(() => connection.close())
      ).pipe(
        Effect.tap((connection) => {
          const onClosed = (cause: unknown) => signal.lost(cause ? new NatsError({ cause }) : undefined)
          connection.closed().then(onClosed, onClosed)
        })
      )
  })

// Subscribes when it is run, which `ClientService.stream` does afresh on every connection.
const messages = (connection: nats.NatsConnection, subject: string) =>
  Stream.asyncPush<string, NatsError>((emit) =>
    Effect.gen(function* () {
      const callback = (cause: nats.NatsError | null, message: nats.Msg) =>
        void (cause === null ? emit.single(message.string()) : emit.fail(new NatsError({ cause })))
      yield* Effect.acquireRelease(
        Effect.sync(() => connection.subscribe(subject, { callback })),
        (subscription) => Effect.sync(() => subscription.unsubscribe())
      )
      // The server has answered, so from now on it sends what is published.
      yield* fromPromise(() => connection.flush())
      yield* Console.log("subscribed")
    })
  )

const program = Effect.gen(function* () {
  const prices = ClientService.stream(
    yield* Nats,
    (connection) => Stream.ensuring(messages(connection, "prices.*"), Console.log("unsubscribed")),
    { gap: () => "some may be missing" }
  )
  yield* Stream.runForEach(prices, (price) => Console.log(price))
})

const [servers = "", user = "", pass = ""] = process.argv.slice(2)

const NatsLive = Nats.layer({
  endpoint: endpoint({ servers, user, pass }),
  // A server that has gone silent is noticed within 6 seconds.
  heartbeat: {
    probe: (connection) => fromPromise(() => connection.flush()),
    interval: "4 seconds",
    timeout: "2 seconds"
  }
})

NodeRuntime.runMain(Effect.provide(program, NatsLive))
