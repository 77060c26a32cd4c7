import { Effect, Option, Schedule, Stream, SubscriptionRef } from "effect"
import type { Connect, Lost } from "../../support/connect.js"

export interface Peer {
  readonly ask: (question: string) => Effect.Effect<string, Lost>
}

export const failing = (connect: Connect<Peer>) =>
  Effect.gen(function* () {
    const current = yield* SubscriptionRef.make(Option.none<Peer>())
    yield* Effect.gen(function* () {
      const { lost, peer } = yield* connect
      yield* SubscriptionRef.set(current, Option.some(peer))
      // Nothing tells of a peer whose machine is gone: no packet comes from it any more, not even that it is gone.
      yield* lost
    }).pipe(Effect.scoped, Effect.retry(Schedule.spaced("1 second")), Effect.forkScoped)

    const connected = current.changes.pipe(
      Stream.filterMap((peer) => peer),
      Stream.runHead,
      Effect.map(Option.getOrThrow)
    )
    const ask = (question: string) => Effect.flatMap(connected, (peer) => peer.ask(question))
    return { ask }
  })
