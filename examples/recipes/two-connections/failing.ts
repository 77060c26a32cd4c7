import { Effect, Ref, Schedule, Scope } from "effect"
import type { Connect, Lost } from "../../support/connect.js"

export interface Peer {
  readonly ask: (question: string) => Effect.Effect<string, Lost>
}

export const failing = (connect: Connect<Peer>) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const opened = connect.pipe(Effect.retry(Schedule.spaced("1 second")), Scope.extend(scope))
    const current = yield* Effect.flatMap(opened, Ref.make)

    const reconnect = Effect.flatMap(opened, (connected) => Ref.set(current, connected))

    // Connects again when the connection is lost ...
    yield* Ref.get(current).pipe(
      Effect.flatMap(({ lost }) => Effect.catchAll(lost, () => reconnect)),
      Effect.forever,
      Effect.forkScoped
    )

    // ... and when a question has no answer, since then it may be lost as well.
    const ask = (question: string) =>
      Ref.get(current).pipe(
        Effect.flatMap(({ peer }) => peer.ask(question)),
        Effect.timeout("5 seconds"),
        Effect.tapError(() => reconnect)
      )
    return { ask }
  })
