import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { Endpoint } from "effect-client-service"

/** Connects at once, in memory. The protocol of a connection is its own signal, to lose it by. */
export const memoryEndpoint = Endpoint.make({
  name: "memory",
  connect: (signal: Endpoint.ConnectionSignal<never>) =>
    Effect.acquireRelease(Effect.succeed(signal), () => Effect.void)
})

/** Connects once it is let, to a protocol that is nothing much. */
export const gatedEndpoint = Effect.map(Deferred.make<number>(), (gate) => ({
  endpoint: Endpoint.make({ name: "gated", connect: () => Deferred.await(gate) }),
  open: Deferred.succeed(gate, 1)
}))
