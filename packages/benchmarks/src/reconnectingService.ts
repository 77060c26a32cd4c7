import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { timed } from "./measure.js"
import { host } from "./tcp.js"

/** The milliseconds of a reconnect cycle of a service, over so many, whose server drops each connection. */
export const reconnectCycle = (port: number, cycles: number): Effect.Effect<number> =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<void>()
    let opens = 0
    const service = yield* ClientService.make({
      endpoint: Endpoint.tap(NodeEndpoint.tcp({ host, port }), () => {
        opens += 1
        return opens < cycles ? Effect.void : Deferred.succeed(done, undefined)
      }),
      retryPolicy: RetryPolicy.fromFunction(() => 0)
    })
    const millis = yield* timed(Effect.zipRight(service.start, Deferred.await(done)))
    return millis / cycles
  }).pipe(Effect.scoped)
