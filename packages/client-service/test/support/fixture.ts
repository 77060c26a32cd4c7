import { Deferred, Effect, Schedule, Stream } from "effect"
import { ClientService, type ConnectionState, TestEndpoint } from "effect-client-service"

export type StateTag = ConnectionState.ConnectionState<unknown>["_tag"]

export const stateTags: ReadonlyArray<StateTag> = [
  "Init",
  "Connecting",
  "Connected",
  "Waiting",
  "Disconnecting",
  "Restarting",
  "Stopped",
  "Exhausted"
]

/** Lets every fiber that can go on do so. */
export const settle = Effect.repeatN(Effect.yieldNow(), 50)

/** Waits until the service is in a state. */
export const awaitState = <P, E>(service: ClientService.ClientService<P, E>, tag: StateTag): Effect.Effect<void> =>
  service.state.changes.pipe(
    Stream.filter((state) => state._tag === tag),
    Stream.runHead,
    Effect.asVoid
  )

/** Collects the tags of the states that the service goes through from now on. */
export const recordStates = <P, E>(service: ClientService.ClientService<P, E>) =>
  Effect.gen(function* () {
    const tags: Array<StateTag> = []
    yield* service.state.changes.pipe(
      Stream.drop(1),
      Stream.runForEach((state) => Effect.sync(() => tags.push(state._tag))),
      Effect.forkScoped
    )
    yield* settle
    return tags
  })

/**
 * A service over a test endpoint, and the ways into each of its states. Its retries come after a second while they are
 * granted. Its connections close at once, but for those that are on the way to `Disconnecting`: they close when the gate
 * opens.
 */
export const makeFixture = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<string, string>()
  const gate = yield* Deferred.make<void>()
  const retries = { granted: true }
  const service = yield* ClientService.make({
    endpoint: server.endpoint,
    retryPolicy: Schedule.spaced("1 second").pipe(Schedule.whileInput((_: unknown) => retries.granted)),
    closeTimeout: "1 hour"
  })
  yield* Effect.addFinalizer(() => Deferred.succeed(gate, undefined))

  const disconnecting = Effect.gen(function* () {
    yield* service.start
    yield* server.accept("first", { close: Deferred.await(gate) })
    yield* awaitState(service, "Connected")
    yield* Effect.forkDaemon(service.stop)
    yield* awaitState(service, "Disconnecting")
  })

  const reach: Record<StateTag, Effect.Effect<void>> = {
    Init: Effect.void,
    Connecting: service.start,
    Connected: Effect.gen(function* () {
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
    }),
    Waiting: Effect.gen(function* () {
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
    }),
    Disconnecting: disconnecting,
    Restarting: Effect.zipRight(disconnecting, service.start),
    Stopped: Effect.zipRight(service.start, service.stop),
    Exhausted: Effect.gen(function* () {
      retries.granted = false
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Exhausted")
      retries.granted = true
    })
  }

  return { server, service, gate, retries, reach }
})
