/**
 * A server of one's own behind a proxy that has faults when a test wants them.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Schedule } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { FaultProxy, NodeEndpoint } from "effect-client-service-node"
import * as Lines from "./support/lines.js"
import { port } from "./support/running.js"

// #region readme
const test = Effect.gen(function* () {
  const proxy = yield* FaultProxy.make({ upstream: { host: "127.0.0.1", port } })
  const service = yield* ClientService.make({
    endpoint: NodeEndpoint.tcp({ host: proxy.host, port: proxy.port }),
    protocol: Lines.make,
    retryPolicy: RetryPolicy.fromFunction(() => "10 millis")
  })
  yield* service.start
  const ask = service.use((peer) => peer.ask("ECHO hello"))
  yield* Console.log(yield* ask)

  // The answer is cut off in the middle.
  yield* proxy.set(FaultProxy.close({ after: 3, direction: "ToClient" }))
  yield* Console.log((yield* Effect.flip(ask))._tag)

  // Nobody listens. Whoever asks gets the answer once the server is there again.
  yield* proxy.set(FaultProxy.refuse)
  const patient = yield* Effect.fork(Effect.retry(ask, Schedule.spaced("10 millis")))
  yield* proxy.heal
  yield* Console.log(yield* Fiber.join(patient))
})
// #endregion

NodeRuntime.runMain(Effect.scoped(test))
