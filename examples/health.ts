/**
 * A health check, and a status line, of a service whose server is down at first.
 */
import { HttpServerResponse } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Duration, Effect, Option, Schedule, Stream } from "effect"
import { ClientService, type ConnectionState, RetryPolicy, TestEndpoint } from "effect-client-service"

class Peer extends ClientService.Tag("app/Peer")<Peer, string, "refused">() {}

// #region readme
// What an orchestrator asks for: 200 while there is a connection. The snapshot has no protocol and no secrets.
const health = Effect.gen(function* () {
  const { _tag } = yield* Peer.state.get
  return yield* HttpServerResponse.json(yield* Peer, { status: _tag === "Connected" ? 200 : 503 })
})

// What a request is answered while the connection is away: 503 after two seconds, rather than a request that hangs.
const greeting = Peer.use((peer) => Effect.succeed(peer.toUpperCase()), { maxWait: "2 seconds" }).pipe(
  Effect.flatMap((text) => HttpServerResponse.text(text)),
  // It was under way when the connection was lost. What may run twice is tried again, after a pause.
  Effect.retry({
    while: (error) => error._tag === "ConnectionLost",
    schedule: Schedule.spaced("100 millis"),
    times: 3
  }),
  Effect.catchTag("NotConnected", () => HttpServerResponse.text("try again later", { status: 503 }))
)

// What people read.
const describe = (state: ConnectionState.ConnectionState<string, "refused">): string => {
  switch (state._tag) {
    case "Connected":
      return `connection number ${state.generation}`
    case "Connecting":
      return `attempt ${state.attempt}, after: ${Option.match(state.cause, { onNone: () => "none", onSome: Cause.pretty })}`
    case "Waiting":
      return `failed ${state.failures} times, next in ${Duration.format(state.delay)}: ${Cause.pretty(state.cause)}`
    case "Exhausted":
      return `gave up after ${state.failures} failures: ${Cause.pretty(state.cause)}`
    default:
      return state._tag
  }
}

// The state of now, and then every change. A consumer that is slow gets them all.
const status = Stream.map(Peer.state.changes, describe)
// #endregion

const program = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, "refused">()
  const PeerLive = Peer.layer({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "50 millis")
  })
  yield* Effect.gen(function* () {
    const check = Effect.flatMap(health, ({ status }) => Console.log(`health: ${status}`))
    yield* Effect.fork(Stream.runForEach(status, (line) => Console.log(`status: ${line}`)))
    yield* server.refuse("refused")
    yield* check
    const answer = Effect.flatMap(greeting, ({ status }) => Console.log(`greeting: ${status}`))
    yield* Effect.zip(answer, server.accept("hello"), { concurrent: true })
    yield* check
  }).pipe(Effect.provide(PeerLive))
})

NodeRuntime.runMain(Effect.scoped(program))
