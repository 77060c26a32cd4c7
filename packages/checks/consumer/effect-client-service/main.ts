import { Effect, Option, TestClock, TestContext } from "effect"
import { ClientService, type ConnectionError, RetryPolicy, TestEndpoint } from "effect-client-service"

class Greeter extends ClientService.Tag("consumer/Greeter")<Greeter, string, "refused">() {}

const program = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, "refused">()
  const GreeterLive = Greeter.layer({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "1 second")
  })
  return yield* Effect.gen(function* () {
    const service = yield* Greeter
    const failure: ConnectionError.ConnectionError<"refused"> | ClientService.ServiceStopped | "none" =
      yield* Effect.zipRight(
        server.refuse("refused"),
        service.whenConnected({ failAfterFailures: 1 }).pipe(Effect.as("none" as const)),
        { concurrent: true }
      ).pipe(Effect.catchTag("RetriesExhausted", Effect.die), Effect.catchAll(Effect.succeed))
    yield* TestClock.adjust("1 second")
    const connection = yield* server.accept("hello")
    const greeting = yield* Greeter.whenConnected()
    yield* connection.drop()
    yield* connection.awaitClosed
    const protocol = yield* service.protocol.get
    return { failure, greeting, isLost: Option.isNone(protocol) }
  }).pipe(Effect.provide(GreeterLive))
}).pipe(Effect.provide(TestContext.TestContext))

const result = JSON.stringify(await Effect.runPromise(program))
const expected = JSON.stringify({ failure: "refused", greeting: "hello", isLost: true })
if (result !== expected) throw new Error(`${result} instead of ${expected}`)
