import { Effect, Option, Schedule, Stream, SubscriptionRef } from "effect"
import type { Connect } from "../../support/connect.js"

export interface Peer {
  readonly subscribe: (topic: string) => Stream.Stream<string>
}

export const failing = (connect: Connect<Peer>) =>
  Effect.gen(function* () {
    const current = yield* SubscriptionRef.make(Option.none<Peer>())
    yield* Effect.gen(function* () {
      const { lost, peer } = yield* connect
      yield* SubscriptionRef.set(current, Option.some(peer))
      yield* lost
    }).pipe(Effect.scoped, Effect.retry(Schedule.spaced("1 second")), Effect.forkScoped)

    // Of the connection that there is first, and of no other.
    return current.changes.pipe(
      Stream.filterMap((peer) => peer),
      Stream.take(1),
      Stream.flatMap((peer) => peer.subscribe("news"))
    )
  })
