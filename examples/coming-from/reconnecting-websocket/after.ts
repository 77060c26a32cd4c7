import { NodeSocket } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"

export const after = (url: string, onMessage: (message: string) => void) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: Endpoint.webSocket(url),
      // Nobody gets a connection that is not logged in.
      prepare: (feed) => feed.write("login alice"),
      retryPolicy: RetryPolicy.fullJitter({ initialDelay: "10 millis" })
    })
    yield* service.start
    yield* ClientService.stream(service, ({ messages }) => messages).pipe(
      Stream.runForEach((message) => Effect.sync(() => onMessage(String(message)))),
      Effect.forkScoped
    )
    return { send: (message: string) => service.use((feed) => feed.write(message)) }
  }).pipe(Effect.provide(NodeSocket.layerWebSocketConstructor))
