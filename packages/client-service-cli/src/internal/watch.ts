/**
 * Tells what a service does, as it does it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ClientService } from "effect-client-service/ClientService"
import type { State } from "./terminal/stateLine.js"
import type { Told } from "./terminal/words.js"

export interface Watch {
  /** Waits until a state is shown. */
  readonly shown: (isIt: (state: State) => boolean) => Effect.Effect<void>
  /** Waits until everything is shown that has happened so far. */
  readonly caughtUp: Effect.Effect<void>
}

/** Once this is done, no state is missed. `meanwhile` runs from when one is shown until the next is there. */
export const watch = (
  service: ClientService<unknown, Told>,
  show: (state: State) => Effect.Effect<void>,
  meanwhile: (state: State) => Stream.Stream<void> = () => Stream.empty
): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.gen(function* () {
    const current = yield* service.state.get
    const latest = yield* SubscriptionRef.make<State>(current)
    const seen = new WeakSet<State>([current])
    const isWatching = yield* Deferred.make<void>()
    let isOver = false
    const shown = (isIt: (state: State) => boolean) =>
      Effect.asVoid(Stream.runHead(Stream.filter(latest.changes, isIt)))

    yield* service.state.changes.pipe(
      Stream.tap(() => Deferred.succeed(isWatching, undefined)),
      Stream.filter((state) => state._tag !== "Init"),
      Stream.tap((state) =>
        Effect.sync(() => seen.add(state)).pipe(
          Effect.zipRight(show(state)),
          Effect.zipRight(SubscriptionRef.set(latest, state))
        )
      ),
      Stream.flatMap(meanwhile, { switch: true }),
      Stream.runDrain,
      // Nothing more is shown by what has failed, and nobody is to wait for that.
      Effect.ensuring(
        Effect.suspend(() => {
          isOver = true
          return SubscriptionRef.update(latest, identity)
        })
      ),
      Effect.forkScoped
    )
    yield* Deferred.await(isWatching)
    return { shown, caughtUp: Effect.flatMap(service.state.get, (state) => shown(() => isOver || seen.has(state))) }
  })
