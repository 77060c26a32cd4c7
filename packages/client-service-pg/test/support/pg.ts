import { Cause, Effect, Logger, LogLevel, Option, type Scope, Stream } from "effect"
import { type ConnectionState, RetryPolicy } from "effect-client-service"
import { type PgConnection, PgEndpoint, type PgError, type PgEvent, PgService } from "effect-client-service-pg"
import type { Server } from "./server.js"

export const endpointOf = ({ database, host, password, port, user }: Server, options: PgEndpoint.Options = {}) =>
  PgEndpoint.make({ host, port, user, password, database, linger: 500, ...options })

/** A service that is started and retries after 20 ms, unless told otherwise. */
export const start = (
  server: Server,
  { connection, ...options }: Partial<PgService.Options> & { readonly connection?: PgEndpoint.Options } = {}
): Effect.Effect<PgService.Service, never, Scope.Scope> =>
  PgService.make({
    retryPolicy: RetryPolicy.fromFunction(() => 20),
    endpoint: endpointOf(server, connection),
    ...options
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

type State = ConnectionState.ConnectionState<PgConnection.PgConnection, PgError.ConnectFailure>

/** Waits until a service is in a state, and gives that. */
export const stateOf = <Tag extends State["_tag"]>({ service }: PgService.Service, tag: Tag) =>
  service.state.changes.pipe(
    Stream.filter((state): state is Extract<State, { readonly _tag: Tag }> => state._tag === tag),
    Stream.runHead,
    Effect.flatten,
    Effect.orDie
  )

/** The first error that a service waits after. */
export const errorOf = (pg: PgService.Service) =>
  Effect.map(stateOf(pg, "Waiting"), ({ cause }) => Option.getOrThrow(Cause.failureOption(cause)))

/** The id of the process of the server that a service is connected to. */
export const processOf = (pg: PgService.Service) =>
  Effect.map(pg.query<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid"), ({ rows }) => rows[0]?.pid)

export interface Gap {
  readonly _tag: "Gap"
  readonly reason: "Started" | "Reconnected" | "Overflow"
}

export type Event = PgEvent.Notification | Gap

/** Has a stream tell of all of its gaps, and of its beginning. */
export const gaps = {
  subscribed: (): Gap => ({ _tag: "Gap", reason: "Started" }),
  gap: (reason: "Reconnected" | "Overflow"): Gap => ({ _tag: "Gap", reason })
}

export interface Heard {
  readonly events: ReadonlyArray<Event>
  /** Waits for an event that was not waited for yet. */
  readonly until: (isIt: (event: Event) => boolean) => Effect.Effect<void>
}

/** Writes down what is heard on a channel, from when the server has acknowledged that it tells. */
export const hear = (pg: PgService.Service, channel: string): Effect.Effect<Heard, never, Scope.Scope> =>
  Effect.gen(function* () {
    const events: Array<Event> = []
    const waiting = new Set<() => void>()
    yield* pg.listen(channel, gaps).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          events.push(event)
          for (const look of [...waiting]) look()
        })
      ),
      Effect.forkScoped
    )
    let seen = 0
    const until: Heard["until"] = (isIt) =>
      Effect.async<void>((resume) => {
        const look = () => {
          const index = events.findIndex((event, index) => index >= seen && isIt(event))
          if (index < 0) return
          seen = index + 1
          waiting.delete(look)
          resume(Effect.void)
        }
        waiting.add(look)
        look()
        return Effect.sync(() => waiting.delete(look))
      })
    yield* until(isGap("Started"))
    return { events, until }
  })

export const isGap =
  (reason: Gap["reason"]) =>
  (event: Event): boolean =>
    event._tag === "Gap" && event.reason === reason

export const isPayload =
  (payload: string) =>
  (event: Event): boolean =>
    event._tag === "Notification" && event.payload === payload

/**
 * Of numbers that were sent in order, those that were neither heard nor may have been missed at a gap that was told; and
 * those that were heard twice.
 */
export const unaccounted = (sent: ReadonlyArray<number>, events: ReadonlyArray<Event>) => {
  const heard = new Set<number>()
  const twice: Array<number> = []
  const untold: Array<number> = []
  let last = -1
  let isGapTold = false
  for (const event of events) {
    if (event._tag === "Gap") {
      isGapTold = true
      continue
    }
    const number = Number(event.payload)
    if (Number.isNaN(number)) continue
    if (heard.has(number)) twice.push(number)
    heard.add(number)
    if (!isGapTold) untold.push(...sent.filter((other) => other > last && other < number))
    last = number
    isGapTold = false
  }
  return { untold, twice }
}
