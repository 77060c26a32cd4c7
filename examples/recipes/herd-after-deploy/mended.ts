import { Effect } from "effect"
import { ClientService, type Endpoint, RetryPolicy } from "effect-client-service"
import type { Refused } from "../../support/connect.js"

export const mended = <Peer>(endpoint: Endpoint.Endpoint<Peer, Refused>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint,
      // The default: any time from 0 to 500 ms, 1 s, 2 s ... 30 s.
      retryPolicy: RetryPolicy.fullJitter()
    })
    yield* service.start
    return service
  })
