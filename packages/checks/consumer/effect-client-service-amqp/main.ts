import { once } from "node:events"
import { createServer } from "node:net"
import { Cause, Effect, Option } from "effect"
import { RetryPolicy } from "effect-client-service"
import { Amqp, AmqpEndpoint, AmqpError } from "effect-client-service-amqp"

// Drops its first connection, and answers later ones with the version of the protocol that it would speak.
let accepted = 0
const server = createServer((socket) => {
  accepted += 1
  socket.on("error", () => socket.destroy())
  if (accepted === 1) socket.destroy()
  else socket.once("data", () => socket.end("AMQP\u0000\u0001\u0000\u0000"))
})
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
if (address === null || typeof address === "string") throw new Error("The server listens on no port")

const AmqpLive = Amqp.layer({
  endpoint: AmqpEndpoint.make({ host: "127.0.0.1", port: address.port }),
  retryPolicy: RetryPolicy.fromFunction(() => "10 millis").pipe(
    RetryPolicy.whileError((error) => !AmqpError.isFatal(error) && accepted < 2)
  )
})

const publish = Effect.flatMap(Amqp.Amqp, (amqp) => amqp.sendToQueue("jobs", "a job", { resend: true }))
const error = await Effect.runPromise(Effect.flip(Effect.provide(publish, AmqpLive)))
server.close()
await once(server, "close")
if (error._tag !== "RetriesExhausted" || accepted !== 2) throw error
const cause = Option.getOrThrow(Cause.failureOption(error.cause))
if (cause._tag !== "AmqpError" || cause.endpoint !== `amqp://127.0.0.1:${address.port}`) throw cause
