/**
 * The ways to wait for a connection, and to use it, with a server that fails its first attempts.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"

// #region readme
const describe = (service: ClientService.ClientService<string, "refused">) =>
  Effect.gen(function* () {
    // Fails with the error of the second attempt that fails from now on.
    const impatient = yield* Effect.flip(service.whenConnected({ failAfterFailures: 2 }))
    yield* Console.log(`impatient: ${impatient}`)

    // At most so long for a connection, and then as long as it takes. With 0, fails at once if there is none.
    const busy = yield* Effect.flip(service.use((protocol) => Effect.succeed(protocol.length), { maxWait: 0 }))
    yield* Console.log(`busy: ${busy._tag}`)

    // Waits for as long as it takes: your own timeout or interruption ends it, and leaves nothing behind.
    const patient = yield* service.whenConnected()
    yield* Console.log(`patient: ${patient}`)

    // Waits, runs once, and fails with ConnectionLost the moment that the connection is lost.
    const length = yield* service.use((protocol) => Effect.succeed(protocol.length))
    yield* Console.log(`use: ${length}`)

    // The same for a client that gives promises, with a signal that is aborted when nobody waits any more.
    const loud = yield* service.usePromise(async (protocol, signal) => (signal.aborted ? "" : protocol.toUpperCase()))
    yield* Console.log(`usePromise: ${loud}`)

    // Each new connection, the newest for a consumer that is slow. `ClientService.stream` runs a stream on each.
    const first = Stream.take(service.connections, 1)
    yield* Stream.runForEach(first, (protocol) => Console.log(`connections: ${protocol}`))
  })
// #endregion

const program = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, "refused">()
  const refused = TestEndpoint.refused("refused" as const)
  yield* server.script(refused, refused, TestEndpoint.accepted("hello"))
  const service = yield* ClientService.make({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "10 millis")
  })
  yield* service.start
  yield* describe(service)
})

NodeRuntime.runMain(Effect.scoped(program))
