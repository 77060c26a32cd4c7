import type { Effect } from "effect"
import type { ClientService } from "effect-client-service"
import type { FiberCensus } from "./fiberCensus.js"
import type { Consumer, Counts, Job, Use, Waiter } from "./jobs.js"
import type { Attempt, Peer, PeerError, Protocol } from "./peer.js"
import type { Reference, State } from "./reference.js"
import type { Script } from "./script.js"
import type { ScriptClock } from "./scriptClock.js"

/** A history as far as it has run: all that the invariants look at. */
export interface Observed {
  readonly script: Script
  readonly clock: ScriptClock
  readonly census: FiberCensus
  /** How many waits without end Effect has begun. */
  readonly keepAlives: () => number
  readonly peer: Peer
  readonly service: ClientService.ClientService<Protocol, PeerError>
  readonly reference: Reference
  readonly state: State
  readonly counts: Counts
  /** The last of the changes of the protocol. */
  readonly lastProtocol: Protocol | undefined
  /** The attempt that was to be begun anew when a reconnect was called. */
  readonly toRenew: Attempt | undefined
  readonly waiters: ReadonlyArray<Waiter>
  readonly uses: ReadonlyArray<Use>
  readonly consumers: ReadonlyArray<Consumer>
  readonly stops: ReadonlyArray<Job>
  /** And reconnects. */
  readonly starts: ReadonlyArray<Job>
  readonly checks: ReadonlyArray<Job>
  evaluate<A, E>(effect: Effect.Effect<A, E>): A
}
