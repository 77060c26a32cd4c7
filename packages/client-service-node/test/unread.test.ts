import { closeSync, openSync } from "node:fs"
import * as Net from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { keepUnread } from "../src/internal/unread.js"

interface Broken {
  readonly socket: Net.Socket
  /** Has a write fail, of which the socket is destroyed. */
  readonly fail: () => void
}

/** A socket of which the system has zeros without an end. */
const endless: Effect.Effect<Broken, never, Scope.Scope> = Effect.gen(function* () {
  const fd = yield* Effect.acquireRelease(
    Effect.sync(() => openSync("/dev/zero", "r")),
    (fd) => Effect.sync(() => closeSync(fd))
  )
  const socket = keepUnread(new Net.Socket())
  socket.on("error", () => {})
  Reflect.set(socket, "_handle", { fd, readStart: () => 0, close: (f: () => void) => f() })
  const error = Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" })
  Reflect.set(Reflect.get(socket, "_readableState"), "errored", error)
  return { socket, fail: () => void socket.destroy(error) }
})

if (process.platform !== "win32") {
  describe("what is unread when a write fails", () => {
    // Kind 1
    it.scopedLive("is taken up to a bound, though the peer goes on sending", () =>
      Effect.gen(function* () {
        const { fail, socket } = yield* endless
        let bytes = 0
        socket.on("data", (chunk) => {
          bytes += chunk.length
          if (bytes > 1e8) throw new Error("there is no bound")
        })
        fail()
        expect(bytes).toBe(8 * 1024 * 1024)
        expect(socket.destroyed).toBe(true)
      })
    )

    // Kind 1
    it.scopedLive("has the socket destroyed though its reader throws, who throws it", () =>
      Effect.gen(function* () {
        const { fail, socket } = yield* endless
        socket.on("data", () => {
          throw new Error("by the reader")
        })
        expect(fail).toThrow("by the reader")
        expect(socket.destroyed).toBe(true)
      })
    )
  })
}
