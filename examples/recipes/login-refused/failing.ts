import { Data, Deferred, Effect, Schedule } from "effect"
import type { Connect } from "../../support/connect.js"

export interface Peer {
  readonly login: (password: string) => Effect.Effect<void, WrongPassword>
}

export class WrongPassword extends Data.TaggedError("WrongPassword") {}

export const failing = (connect: Connect<Peer>, password: Effect.Effect<string>) =>
  Effect.gen(function* () {
    const loggedIn = yield* Deferred.make<Peer>()
    yield* Effect.gen(function* () {
      const { lost, peer } = yield* connect
      yield* Effect.flatMap(password, peer.login)
      yield* Deferred.succeed(loggedIn, peer)
      yield* lost
    }).pipe(
      Effect.scoped,
      // All errors are the same to it.
      Effect.retry(Schedule.spaced("1 second")),
      Effect.forkScoped
    )
    return { connected: Deferred.await(loggedIn) }
  })
