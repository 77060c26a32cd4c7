/**
 * Health checks, and a status line, of a service whose server is down at first.
 */
import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Duration, Effect, Layer, Option, Schedule, Stream } from "effect"
import { ClientService, ClientServices, type ConnectionState, RetryPolicy, TestEndpoint } from "effect-client-service"
import * as Health from "effect-client-service/Health"

class Peer extends ClientService.Tag("app/Peer")<Peer, string, "refused">() {}

// #region readme
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

// With /health/started, /health/live and /health/ready, which answer for all services that are made under Health.layer.
const app = HttpRouter.empty.pipe(HttpRouter.get("/greeting", greeting), HttpRouter.concat(Health.routes))

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

const ask = (path: string) =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<Peer | ClientServices.ClientServices>()
    const handle = HttpApp.toWebHandlerRuntime(runtime)(app)
    const answer = yield* Effect.promise(() => handle(new Request(`http://127.0.0.1${path}`)))
    yield* Console.log(`${path}: ${answer.status}`)
  })

const program = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, "refused">()
  const PeerLive = Peer.layer({
    endpoint: server.endpoint,
    retryPolicy: RetryPolicy.fromFunction(() => "50 millis")
  })
  yield* Effect.gen(function* () {
    yield* Effect.fork(Stream.runForEach(status, (line) => Console.log(`status: ${line}`)))
    yield* server.refuse("refused")
    yield* ask("/health/ready")
    yield* ask("/health/live")
    yield* Effect.zip(ask("/greeting"), server.accept("hello"), { concurrent: true })
    yield* ask("/health/ready")
    const [peer] = yield* ClientServices.all.get
    yield* Console.log(`then: ${peer?.transitions.map(({ state }) => state).join(", ")}`)
  }).pipe(Effect.provide(PeerLive.pipe(Layer.provideMerge(Health.layer))))
})

NodeRuntime.runMain(Effect.scoped(program))
