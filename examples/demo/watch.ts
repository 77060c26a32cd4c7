/**
 * Shows what a service does, as it does it.
 */
import { Clock, Duration, Effect, type Fiber, Schedule, type Scope, Stream, SubscriptionRef } from "effect"
import type { ClientService } from "effect-client-service"
import type { Screen } from "./screen.js"
import { type State, stateLine, waitBar } from "./stateLine.js"
import type { OwnError } from "./words.js"

export interface Watch {
  /** Waits until a state is shown. */
  readonly shown: (isIt: (state: State) => boolean) => Effect.Effect<void>
  /** Waits until everything is shown that has happened so far. */
  readonly caughtUp: Effect.Effect<void>
  readonly fiber: Fiber.Fiber<void>
}

export const watch = (
  service: ClientService.ClientService<unknown, OwnError>,
  screen: Screen,
  onState: (state: State) => void = () => {}
): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.gen(function* () {
    const begin = yield* Clock.currentTimeMillis
    const current = yield* service.state.get
    const latest = yield* SubscriptionRef.make<State>(current)
    const seen = new WeakSet<State>([current])

    const show = (state: State) =>
      Effect.gen(function* () {
        seen.add(state)
        onState(state)
        yield* screen.print(stateLine(screen.colours, state, (yield* Clock.currentTimeMillis) - begin))
        yield* SubscriptionRef.set(latest, state)
      })
    const shown = (isIt: (state: State) => boolean) =>
      Effect.asVoid(Stream.runHead(Stream.filter(latest.changes, isIt)))

    const fiber = yield* service.state.changes.pipe(
      Stream.filter((state) => state._tag !== "Init"),
      Stream.tap(show),
      Stream.flatMap((state) => waiting(screen, state), { switch: true }),
      Stream.runDrain,
      Effect.forkScoped
    )
    return {
      shown,
      caughtUp: Effect.flatMap(service.state.get, (state) => shown(() => seen.has(state))),
      fiber
    }
  })

const waiting = (screen: Screen, state: State): Stream.Stream<void> => {
  if (state._tag !== "Waiting" || !screen.isLive) return Stream.empty
  const delay = Duration.toMillis(state.delay)
  const draw = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    screen.status((columns) =>
      waitBar(screen.colours, { delay, remaining: Math.min(Math.max(state.retryAt - now, 0), delay) }, columns)
    )
  )
  return Stream.ensuring(
    Stream.repeatEffectWithSchedule(draw, Schedule.spaced("50 millis")),
    screen.status(() => "")
  )
}
