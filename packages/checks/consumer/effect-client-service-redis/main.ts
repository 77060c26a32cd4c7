import { once } from "node:events"
import { createServer } from "node:net"
import { Effect } from "effect"
import { RetryPolicy } from "effect-client-service"
import { Redis, RedisEndpoint } from "effect-client-service-redis"

// Drops its first connection, and takes every command of later ones.
let accepted = 0
const server = createServer((socket) => {
  accepted += 1
  if (accepted === 1) socket.destroy()
  socket.on("error", () => socket.destroy())
  socket.on("data", (data) => {
    for (const _ of data.toString().matchAll(/^\*/gm)) socket.write("+OK\r\n")
  })
})
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
if (address === null || typeof address === "string") throw new Error("The server listens on no port")

const RedisLive = Redis.layer({
  endpoint: RedisEndpoint.make({ host: "127.0.0.1", port: address.port }),
  retryPolicy: RetryPolicy.fromFunction(() => "10 millis")
})

const set = Effect.flatMap(Redis.Redis, (redis) => redis.use((client) => client.set("key", "value")))
const result: string | null = await Effect.runPromise(Effect.provide(set, RedisLive))
server.close()
await once(server, "close")
if (result !== "OK" || accepted !== 2) throw new Error(`${result} by connection ${accepted}`)
