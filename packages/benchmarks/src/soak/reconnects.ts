import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ClientService, RetryPolicy } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { memoryEndpoint } from "../memoryEndpoint.js"
import { host, sendingServer } from "../tcp.js"
import { census, sampled } from "./census.js"
import type { Soak } from "./soak.js"

const atOnce = RetryPolicy.fromFunction(() => 0)

export const reconnectsInMemory: Soak = {
  name: "100,000 reconnects in memory",
  operations: "reconnects",
  samples: Effect.gen(function* () {
    const { sample, supervised } = yield* census
    const service = yield* supervised(ClientService.make({ endpoint: memoryEndpoint, retryPolicy: atOnce }))
    yield* service.start
    return yield* sampled({
      operations: 100_000,
      run: (times) =>
        repeat(
          times,
          Effect.map(service.whenConnected(), (signal) => signal.lost())
        ).pipe(Effect.zipRight(service.whenConnected()), Effect.orDie),
      sample
    })
  })
}

export const reconnectsOverTcp: Soak = {
  name: "20,000 reconnects over loopback TCP",
  operations: "reconnects",
  samples: Effect.gen(function* () {
    // It closes a connection on which anything comes.
    const port = yield* sendingServer(0)
    const { sample, supervised } = yield* census
    const service = yield* supervised(
      ClientService.make({ endpoint: NodeEndpoint.tcp({ host, port }), retryPolicy: atOnce })
    )
    yield* service.start
    return yield* sampled({
      operations: 20_000,
      run: (times) =>
        service.connections.pipe(
          // The last one is let live, so that the samples find a connection.
          Stream.take(times + 1),
          Stream.zipWithIndex,
          Stream.runForEach(([transport, index]) =>
            index < times ? Effect.ignore(transport.write("bye")) : Effect.void
          ),
          Effect.orDie
        ),
      sample
    })
  })
}

export const stopsAndStarts: Soak = {
  name: "10,000 times stop and start",
  operations: "stops",
  samples: Effect.gen(function* () {
    const { sample, supervised } = yield* census
    const service = yield* supervised(ClientService.make({ endpoint: memoryEndpoint, retryPolicy: atOnce }))
    yield* service.start
    return yield* sampled({
      operations: 10_000,
      run: (times) =>
        Effect.orDie(
          repeat(times, service.stop.pipe(Effect.zipRight(service.start), Effect.zipRight(service.whenConnected())))
        ),
      sample
    })
  })
}

const repeat = <A, E>(times: number, effect: Effect.Effect<A, E>): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    let done = 0
    return Effect.whileLoop({
      while: () => done < times,
      body: () => effect,
      step: () => {
        done += 1
      }
    })
  })
