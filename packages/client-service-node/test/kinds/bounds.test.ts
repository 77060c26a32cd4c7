import { describe, expect, it } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { peers } from "../support/peers.js"
import { turns, until } from "../support/turns.js"
import { listen } from "../support/webSocketServer.js"

const MiB = 1024 * 1024

describe("bounds of a WebSocket hold where the memory is", () => {
  // Kind 8: What is bounded is not what takes the memory.
  it.scopedLive("a burst to a slow reader is pushed back, and arrives", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const losses: Array<unknown> = []
      const transport = yield* NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}`, {
        receiveBuffer: 65536
      }).connect({ lost: (error) => losses.push(error) })
      const { webSocket } = yield* Queue.take(server.accepted)
      const message = Buffer.alloc(MiB / 32, "x")
      for (let sent = 0; sent < 48 * 32; sent++) webSocket.send(message)
      yield* turns(500)
      // The systems of both hold some of it.
      expect(webSocket.bufferedAmount).toBeGreaterThan(24 * MiB)
      let received = 0
      yield* Stream.runForEachWhile(transport.incoming, (chunk) =>
        Effect.sync(() => {
          received += chunk.length
          return received < 48 * MiB
        })
      )
      expect([received, losses]).toEqual([48 * MiB, []])
    })
  )

  // Kind 8
  it.scopedLive("many small messages at once do not lose the connection", () =>
    Effect.gen(function* () {
      const server = yield* listen()
      const transport = yield* NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}`, {
        receiveBuffer: 1000
      }).connect({ lost: () => {} })
      const { webSocket } = yield* Queue.take(server.accepted)
      for (let sent = 0; sent < 10_000; sent++) webSocket.send("")
      yield* turns(100)
      const received = yield* Stream.runCount(Stream.take(transport.incoming, 10_000))
      expect(received).toBe(10_000)
    })
  )

  // Kind 8
  it.scopedLive("a message over receiveBuffer is refused before it is decompressed", () =>
    Effect.gen(function* () {
      const server = yield* listen({ compresses: true })
      const losses: Array<unknown> = []
      yield* NodeEndpoint.webSocket(`ws://127.0.0.1:${server.port}`, { receiveBuffer: 65536 }).connect({
        lost: (error) => losses.push(error)
      })
      const { webSocket } = yield* Queue.take(server.accepted)
      const before = process.memoryUsage().arrayBuffers
      const zeros = Buffer.alloc(90 * MiB)
      webSocket.send(zeros)
      let most = 0
      yield* until(() => {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        return losses.length > 0
      })
      expect(losses).toMatchObject([{ _tag: "WebSocketClosed", detail: "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" }])
      // Its own, and what the server compresses.
      expect(most / MiB).toBeLessThan(90 + 20)
    })
  )
})

for (const [name, makePeer] of Object.entries(peers)) {
  describe(`what is written over ${name} is the caller's again`, () => {
    // Kind 8
    it.scopedLive("arrives as it was, though the array is used again", () =>
      Effect.gen(function* () {
        const count = 2000
        const size = 4096
        let received = ""
        const endpoint = yield* makePeer(
          (peer) => {
            // It begins to read when much is waiting.
            peer.mute()
            setTimeout(peer.unmute, 50)
            peer.receive((text) => {
              received += text
            })
          },
          { compresses: true }
        )
        const transport = yield* endpoint.connect({ lost: () => {} })
        const bytes = new Uint8Array(size)
        for (let i = 0; i < count; i++) {
          bytes.fill(97 + (i % 26))
          yield* transport.write(bytes)
        }
        bytes.fill(65)
        yield* until(() => received.length === count * size)
        const corrupted = Array.from({ length: count }, (_, i) => i).filter(
          (i) => received.slice(i * size, (i + 1) * size) !== String.fromCharCode(97 + (i % 26)).repeat(size)
        )
        expect(corrupted).toEqual([])
      })
    )
  })
}
