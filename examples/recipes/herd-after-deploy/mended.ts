import { Effect } from "effect"
import { ClientService, type Endpoint, RetryPolicy } from "effect-client-service"
import type { Refused } from "../../support/connect.js"

export const mended = <Peer>(endpoint: Endpoint.Endpoint<Peer, Refused>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint,
      // The default: any time from 0 to nine tenths of how long the server has been away, and to 30 s at most.
      retryPolicy: RetryPolicy.proportional({ factor: 0.9 })
    })
    yield* service.start
    return service
  })
