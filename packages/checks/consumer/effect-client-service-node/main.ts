import { once } from "node:events"
import { createServer } from "node:net"
import { Effect, Option, Stream } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"

class Echo extends ClientService.Tag("consumer/Echo")<Echo, string, Unanswered>() {}

type Unanswered = ConnectError.ConnectError | Error

// Drops its first connection, and echoes what later ones send.
let accepted = 0
const server = createServer((socket) => {
  accepted += 1
  if (accepted === 1) socket.destroy()
  else socket.on("error", () => socket.destroy()).pipe(socket)
})
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
if (address === null || typeof address === "string") throw new Error("The server listens on no port")

const EchoLive = Echo.layer({
  endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port: address.port }),
  protocol: (transport) =>
    Effect.gen(function* () {
      yield* transport.write("ping")
      const echo = yield* Stream.runHead(Stream.decodeText(transport.incoming))
      return yield* Option.match(echo, {
        onNone: () => Effect.fail(new Error("closed without an answer")),
        onSome: Effect.succeed
      })
    }),
  retryPolicy: RetryPolicy.fromFunction(() => "10 millis")
})

const result = await Effect.runPromise(Echo.whenConnected().pipe(Effect.provide(EchoLive)))
server.close()
await once(server, "close")
if (result !== "ping" || accepted !== 2) throw new Error(`${result} by connection ${accepted}`)
