/**
 * A test of a protocol and of what prepares its connections, against a peer that the test plays: every byte is in memory,
 * and no time passes.
 */
import { Effect, Fiber, Option } from "effect"
import {
  ClientService,
  type Endpoint,
  RetryPolicy,
  TestEndpoint,
  TestTransport,
  type Transport
} from "effect-client-service"
import * as Lines from "./support/lines.js"

// #region readme
// Logs in on each connection before anyone gets it.
export const makeMarket = <E>(endpoint: Endpoint.Endpoint<Transport.Transport, E>) =>
  ClientService.make({
    endpoint,
    protocol: Lines.make,
    prepare: (lines) => lines.ask("AUTH sesame"),
    retryPolicy: RetryPolicy.fromFunction(() => 0)
  })

// The heart of a test. Run it with the services of `@effect/vitest`'s `it.scoped`.
export const login = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<Transport.Transport, "unreachable">()
  const market = yield* makeMarket(server.endpoint)
  yield* market.start

  // The server refuses the first login.
  const { peer, transport } = yield* TestTransport.make()
  yield* server.accept(transport)
  const firstLogin = yield* peer.readText
  const refused = yield* Effect.fork(market.whenConnected({ failAfterFailures: 1 }).pipe(Effect.flip))
  yield* Effect.yieldNow()
  yield* peer.write("-who are you\n")
  const refusal = yield* Fiber.join(refused)

  // It accepts the next one, and answers a question in two parts.
  const second = yield* TestTransport.make()
  yield* server.accept(second.transport)
  yield* Effect.zipRight(second.peer.readText, second.peer.write("+welcome\n"))
  const asking = yield* Effect.fork(market.use((lines) => lines.ask("PRICE tea")))
  const question = yield* second.peer.readText
  yield* Effect.zipRight(second.peer.write("+1"), second.peer.write("2\n"))
  const price = yield* Fiber.join(asking)

  return { firstLogin: Option.getOrThrow(firstLogin), refusal, question: Option.getOrThrow(question), price }
})
// #endregion
