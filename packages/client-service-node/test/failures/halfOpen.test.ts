import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { clientSockets, listen } from "../support/server.js"
import { startService } from "../support/service.js"

const host = "127.0.0.1"

describe("half-open connections over sockets", () => {
  // Failure 42: An orderly close of a dead connection waits for the system to give it up, instead of destroying it.
  // Reported: redis/ioredis#1318
  it.scopedLive("a stop destroys a socket whose peer takes nothing more and never closes", () =>
    Effect.gen(function* () {
      // It reads nothing, so that what is written stays in the buffers, and the end after it too.
      const server = yield* listen((socket) => socket.pause(), { allowHalfOpen: true })
      const sockets = yield* clientSockets
      const service = yield* startService(NodeEndpoint.tcp({ host, port: server.port, linger: 50 }), {
        closeTimeout: "1 hour"
      })
      const transport = yield* service.whenConnected()
      const accepted = yield* Queue.take(server.accepted)
      const writing = yield* Effect.fork(Effect.forever(transport.write(Buffer.alloc(1024 * 1024))))
      yield* Effect.repeat(Effect.yieldNow(), { until: () => sockets.some((socket) => socket.writableNeedDrain) })
      yield* service.stop
      expect(sockets.map((socket) => socket.destroyed)).toEqual([true])
      expect(accepted.destroyed).toBe(false)
      expect(yield* Effect.flip(Fiber.join(writing))).toMatchObject({ reason: "Closed" })
    })
  )
})
