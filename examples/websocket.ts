/**
 * JSON messages over a WebSocket, from a server that goes down in between.
 */
import { NodeRuntime, NodeSocket } from "@effect/platform-node"
import { Console, Effect, Layer, Stream } from "effect"
import { ClientService, Endpoint, type Transport, type WebSocketError } from "effect-client-service"
import { port, restart } from "./support/tickServer.js"

const fetchToken = Effect.succeed("one for each attempt")

// #region readme
type FeedError = WebSocketError.WebSocketError | Transport.TransportError

class Feed extends ClientService.Tag("app/Feed")<Feed, Transport.Transport, FeedError>() {}

const FeedLive = Feed.layer({
  // The URL of each attempt has a token of its own, which no log and no error tells.
  endpoint: Endpoint.webSocket(
    Effect.map(fetchToken, (token) => `ws://127.0.0.1:${port}/feed?token=${encodeURIComponent(token)}`),
    { name: "feed" }
  ),
  prepare: (feed) => feed.write(JSON.stringify({ subscribe: "EURUSD" })),
  // A token that is refused, which this server does by closing with 4003, won't be taken the next time either.
  retryPolicy: { while: (error) => !(error._tag === "WebSocketClosed" && error.code === 4003) }
})

// Each chunk is one message, so that there is nothing to put together.
const messagesOf = (feed: Transport.Transport) =>
  Stream.map(feed.incoming, (message): unknown => JSON.parse(new TextDecoder().decode(message)))
// #endregion

const program = Effect.gen(function* () {
  const messages = ClientService.stream(yield* Feed, messagesOf, { gap: () => "missed some" as const })
  yield* messages.pipe(
    Stream.take(5),
    Stream.zipWithIndex,
    Stream.runForEach(([message, index]) =>
      Effect.zipRight(Console.log(JSON.stringify(message)), index === 1 ? restart : Effect.void)
    )
  )
})

const MainLive = Layer.provide(FeedLive, NodeSocket.layerWebSocketConstructor)

NodeRuntime.runMain(Effect.provide(program, MainLive))
