import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { ClientService, type Transport, type WebSocketError } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { port } from "./support/tickServer.js"

type FeedError = WebSocketError.WebSocketError | Transport.TransportError

class Feed extends ClientService.Tag("app/Feed")<Feed, Transport.Transport, FeedError>() {}

const FeedLive = Feed.layer({
  endpoint: NodeEndpoint.webSocket(`ws://127.0.0.1:${port}/ticks`),
  // On each connection, before anyone gets it.
  prepare: (feed) => feed.write("subscribe")
})

// Goes on with the next connection, whenever one is lost.
const ticks = Feed.stream((feed) => feed.incoming.pipe(Stream.decodeText()))

const program = ticks.pipe(
  Stream.take(2),
  Stream.runForEach((tick) => Console.log(tick))
)

NodeRuntime.runMain(Effect.provide(program, FeedLive))
