import { once } from "node:events"
import { createServer } from "node:net"
import { Cause, Effect, Option, Redacted, Stream } from "effect"
import { RetryPolicy } from "effect-client-service"
import { PgEndpoint, PgError, PgService } from "effect-client-service-pg"

const message = (type: string, ...parts: ReadonlyArray<string>): Buffer => {
  const body = Buffer.from(parts.join(""))
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

// Drops its first connection, and refuses the password of the second.
let accepted = 0
const server = createServer((socket) => {
  accepted += 1
  socket.on("error", () => socket.destroy())
  if (accepted === 1) socket.destroy()
  else socket.once("data", () => socket.end(message("E", "SFATAL\0", "C28P01\0", "Mwrong password\0", "\0")))
})
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
if (address === null || typeof address === "string") throw new Error("The server listens on no port")

const PgLive = PgService.layer({
  endpoint: PgEndpoint.make({ host: "127.0.0.1", port: address.port, user: "me", password: Redacted.make("secret") }),
  retryPolicy: RetryPolicy.fromFunction(() => "10 millis").pipe(
    RetryPolicy.whileError((error) => !PgError.isFatal(error))
  )
})

const program = Effect.gen(function* () {
  const pg = yield* PgService.PgService
  return yield* Effect.flip(Stream.runDrain(pg.listen("jobs")))
})

const error = await Effect.runPromise(Effect.provide(program, PgLive))
server.close()
await once(server, "close")
if (error._tag !== "RetriesExhausted") throw error
const cause = Option.getOrThrow(Cause.failureOption(error.cause))
if (cause._tag !== "PgError" || cause.reason !== "Authentication" || accepted !== 2) throw cause
