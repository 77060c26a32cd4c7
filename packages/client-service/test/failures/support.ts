import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Duration, Effect, type Scope, Stream } from "effect"
import { ClientService, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { FiberCensus } from "../properties/fiberCensus.js"

export type Service = ClientService.ClientService<string, string>

export const everySecond = RetryPolicy.fromFunction(() => "1 second")

/**
 * A service over a test endpoint, that retries every second unless told otherwise; what was open at a time, an attempt
 * counting from its beginning; and the fibers of the service.
 */
export const make = (
  options: ClientService.CommonOptions<
    string,
    string,
    Effect.Effect<unknown, string, Scope.Scope>,
    Effect.Effect<unknown, string>,
    never
  > = {}
) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, string>()
    const open = { now: 0, most: 0 }
    const fibers = new FiberCensus(() => {})
    const service = yield* ClientService.make({
      retryPolicy: everySecond,
      ...options,
      endpoint: Endpoint.make({
        name: "test",
        connect: (signal: Endpoint.ConnectionSignal<string>) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              open.now += 1
              open.most = Math.max(open.most, open.now)
            }),
            () =>
              Effect.sync(() => {
                open.now -= 1
              })
          ).pipe(Effect.zipRight(server.endpoint.connect(signal)))
      })
    }).pipe(Effect.supervised(fibers))
    return { fibers, open, server, service }
  })

/** Has as many attempts accepted, each by the protocol of its number, and gives the connections as they come. */
export const acceptAll = (
  server: TestEndpoint.TestEndpoint<string, string>,
  attempts: number,
  options?: TestEndpoint.AcceptOptions
) => server.script(...Array.from({ length: attempts }, (_, i) => TestEndpoint.accepted(`protocol ${i + 1}`, options)))

export const refuseAll = (server: TestEndpoint.TestEndpoint<string, string>, attempts: number) =>
  server.script(...Array.from({ length: attempts }, () => TestEndpoint.refused("refused")))

/** Loses the present connection. */
export const drop = (server: TestEndpoint.TestEndpoint<string, string>, error?: string) =>
  Effect.flatMap(Effect.flatten(server.last), (connection) => connection.drop(error)).pipe(Effect.orDie)

/** Opens a connection, and then never ends. */
export const halfOpen: TestEndpoint.Outcome<never> = (_, open) => Effect.zipRight(open(), Effect.never)

export const counts = <E>(server: TestEndpoint.TestEndpoint<string, E>) =>
  Effect.all({ attempts: server.attempts, opens: server.opens, closes: server.closes })

/** The delays that the service waits for from now on, in milliseconds. */
export const delaysOf = (service: Service) =>
  Effect.gen(function* () {
    const delays: Array<number> = []
    yield* service.state.changes.pipe(
      Stream.runForEach((state) =>
        Effect.sync(() => state._tag === "Waiting" && delays.push(Duration.toMillis(state.delay)))
      ),
      Effect.forkScoped
    )
    return delays
  })

/** Asks V8, which has to be told first that it may be asked, or the JavaScriptCore of Bun. */
const collectGarbage: () => void = (() => {
  const { Bun } = globalThis as { readonly Bun?: { readonly gc: (isSync: boolean) => void } }
  if (Bun !== undefined) return () => Bun.gc(true)
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc")
})()

/** Ends a turn of the event loop. What was put into a WeakRef in it, is not collected before. */
export const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/**
 * How many of some objects are still held by anything. One collection may leave what a turn before it had in hand, so there
 * are several; what is really held stays.
 */
export const held = (objects: ReadonlyArray<WeakRef<object>>, collections = 10): Effect.Effect<number> =>
  Effect.flatMap(turn, () => {
    collectGarbage()
    const count = objects.filter((object) => object.deref() !== undefined).length
    return count === 0 || collections === 1 ? Effect.succeed(count) : held(objects, collections - 1)
  })
