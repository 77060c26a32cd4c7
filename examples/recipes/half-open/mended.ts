import { Effect } from "effect"
import { ClientService, type Endpoint } from "effect-client-service"
import type { Refused } from "../../support/connect.js"
import type { Peer } from "./failing.js"

export const mended = (endpoint: Endpoint.Endpoint<Peer, Refused>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint,
      // Whoever is silent for 20 seconds is taken for lost, whatever the system believes.
      heartbeat: { probe: (peer) => peer.ask("PING"), interval: "15 seconds", timeout: "5 seconds" }
    })
    yield* service.start
    const ask = (question: string) => service.use((peer) => peer.ask(question))
    return { ask }
  })
