import * as Net from "node:net"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ClientService } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { interleave, timed } from "../measure.js"
import type { Row } from "../row.js"
import { host, sendingServer } from "../tcp.js"

const total = 256 * 1024 * 1024

export const readOverTcp: Row = {
  name: "256 MiB read over loopback TCP, in 64 KiB writes",
  against: "'data' events of node:net",
  unit: "ms",
  reach: { ratio: 1.5 },
  samples: Effect.gen(function* () {
    const port = yield* sendingServer(total)
    return yield* interleave({ rounds: 11, warmUp: 2, subject: streamed(port), against: bare(port) })
  })
}

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
