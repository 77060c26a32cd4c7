import { Effect } from "effect"
import { ClientService, type Endpoint } from "effect-client-service"
import type { Refused } from "../../support/connect.js"
import type { Peer } from "./failing.js"

export const mended = (endpoint: Endpoint.Endpoint<Peer, Refused>, password: Effect.Effect<string>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint,
      prepare: (peer) => Effect.flatMap(password, peer.login),
      // What is wrong now will be wrong in a minute. All else is tried again.
      retryPolicy: { while: (error) => error._tag !== "WrongPassword" }
    })
    yield* service.start
    // Fails with RetriesExhausted, for those who wait and those who come later, until somebody says `reconnect`.
    return { connected: service.whenConnected(), passwordChanged: service.reconnect }
  })
