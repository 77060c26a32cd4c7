/**
 * What programs connect by that reconnect by hand: a client library that does not do so by itself.
 */
import { Data, Deferred, Effect, type Scope } from "effect"
import type { Endpoint } from "effect-client-service"

/** Connects once, and closes with its Scope. */
export type Connect<Peer, E = Refused> = Effect.Effect<Connected<Peer, E>, E, Scope.Scope>

export interface Connected<Peer, E> {
  readonly peer: Peer
  /** Fails when the connection is lost. */
  readonly lost: Effect.Effect<never, E | Lost>
}

/** The server takes no connections. */
export class Refused extends Data.TaggedError("Refused") {}

/** The server has closed the connection. */
export class Lost extends Data.TaggedError("Lost") {}

export const connectTo = <Peer, E>(endpoint: Endpoint.Endpoint<Peer, E>): Connect<Peer, E> =>
  Effect.gen(function* () {
    const lost = yield* Deferred.make<never, E | Lost>()
    const peer = yield* endpoint.connect({
      lost: (error) => Deferred.unsafeDone(lost, Effect.fail(error ?? new Lost()))
    })
    return { peer, lost: Deferred.await(lost) }
  })
