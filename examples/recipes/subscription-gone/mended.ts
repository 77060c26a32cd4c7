import { Effect } from "effect"
import { ClientService, type Endpoint } from "effect-client-service"
import type { Refused } from "../../support/connect.js"
import type { Peer } from "./failing.js"

export const mended = (endpoint: Endpoint.Endpoint<Peer, Refused>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint })
    yield* service.start
    // Subscribes on each connection, and says where something may be missing.
    return ClientService.stream(service, (peer) => peer.subscribe("news"), { gap: () => "may have missed some" })
  })
