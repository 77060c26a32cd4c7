import { HttpServerResponse } from "@effect/platform"
import { Effect } from "effect"
import { ClientService, type Endpoint } from "effect-client-service"
import type { Refused } from "../../support/connect.js"
import type { Peer } from "./failing.js"

export const mended = (endpoint: Endpoint.Endpoint<Peer, Refused>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint })
    yield* service.start
    // A short outage is waited for. In a long one a request is told so after 2 seconds, rather than never.
    const handler = service
      .use(({ greet }) => greet, { maxWait: "2 seconds" })
      .pipe(
        Effect.flatMap((text) => HttpServerResponse.text(text)),
        Effect.catchTag("NotConnected", () => HttpServerResponse.text("try again later", { status: 503 }))
      )
    return { handler }
  })
