import { Effect } from "effect"
import { ClientService, type Endpoint } from "effect-client-service"
import type { Refused } from "../../support/connect.js"
import type { Peer } from "./failing.js"

export const mended = (endpoint: Endpoint.Endpoint<Peer, Refused>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint })
    yield* service.start
    // Whose connection is lost fails with ConnectionLost at once. Whoever calls has no part in reconnecting.
    const ask = (question: string) => service.use((peer) => peer.ask(question)).pipe(Effect.timeout("5 seconds"))
    return { ask }
  })
