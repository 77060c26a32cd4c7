import * as Net from "node:net"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import { ClientService } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { timed } from "./measure.js"
import { answer } from "./servers/answer.js"
import { host } from "./tcp.js"

// A child process that reads so many bytes each time that it is asked, and answers with the milliseconds it took:
// `tcpReader.ts service|bare PORT BYTES`.

const streamed = (port: number): Effect.Effect<number> =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint: NodeEndpoint.tcp({ host, port }) })
    yield* service.start
    const transport = yield* service.whenConnected()
    let bytes = 0
    const read = Stream.runForEachWhile(Stream.chunks(transport.incoming), (chunk) =>
      Effect.sync(() => {
        bytes = Chunk.reduce(chunk, bytes, (sum, { length }) => sum + length)
        return bytes < total
      })
    )
    return yield* timed(Effect.zipRight(transport.write("send"), read))
  }).pipe(Effect.orDie, Effect.scoped)

const bare = (port: number): Effect.Effect<number> =>
  Effect.acquireUseRelease(
    connected(port),
    (socket) =>
      timed(
        Effect.async<void>((resume) => {
          let bytes = 0
          socket.on("data", ({ length }) => {
            bytes += length
            if (bytes >= total) resume(Effect.void)
          })
          socket.write("send")
        })
      ),
    (socket) => Effect.sync(() => socket.destroy())
  )

const connected = (port: number): Effect.Effect<Net.Socket> =>
  Effect.async<Net.Socket>((resume) => {
    const socket = Net.connect({ host, port }, () => resume(Effect.succeed(socket)))
    socket.on("error", (error) => resume(Effect.die(error)))
  })

const [, , side, port, bytes] = process.argv
const total = Number(bytes)
const read = side === "service" ? streamed(Number(port)) : bare(Number(port))

process.on("message", () => {
  void Effect.runPromise(Logger.withMinimumLogLevel(read, LogLevel.None)).then(answer)
})
