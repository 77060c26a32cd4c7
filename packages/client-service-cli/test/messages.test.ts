import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"
import type { Transport } from "effect-client-service"
import { asLines } from "../src/internal/messages.js"

describe("lines over a WebSocket", () => {
  const webSocket = () => {
    const sent: Array<string | Uint8Array> = []
    const ended: Array<number> = []
    const transport: Transport.WebSocketTransport = {
      remote: "there",
      subprotocol: "",
      incoming: Stream.make(Buffer.from("one"), Buffer.alloc(0)),
      messages: Stream.empty,
      write: (message) => Effect.sync(() => void sent.push(message)),
      end: Effect.sync(() => void ended.push(sent.length))
    }
    return { sent, ended, lines: asLines(transport) }
  }

  it.effect("sends each line as a message of text, however the bytes come", () =>
    Effect.gen(function* () {
      const { ended, lines, sent } = webSocket()
      const bytes = Buffer.from("é\r\n\nlast")
      yield* lines.write(bytes.subarray(0, 1))
      yield* lines.write(bytes.subarray(1, 6))
      expect(sent).toEqual(["é", ""])
      yield* lines.write(bytes.subarray(6))
      yield* lines.end
      expect(sent).toEqual(["é", "", "last"])
      expect(ended).toEqual([3])
    })
  )

  it.effect("sends a line of more than 64 KiB in parts, since what is kept must have a bound", () =>
    Effect.gen(function* () {
      const { lines, sent } = webSocket()
      yield* lines.write("x".repeat(40_000))
      yield* lines.write("x".repeat(40_000))
      yield* lines.write("y\n")
      expect(sent).toEqual(["x".repeat(80_000), "y"])
    })
  )

  it.effect("gives each message as a line", () =>
    Effect.gen(function* () {
      const { lines } = webSocket()
      const all = yield* Stream.runCollect(lines.incoming)
      expect(Chunk.toReadonlyArray(all).map(String)).toEqual(["one\n", "\n"])
    })
  )
})
