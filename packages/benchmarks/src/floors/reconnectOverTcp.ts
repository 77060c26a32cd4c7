import * as Net from "node:net"
import * as Effect from "effect/Effect"
import { interleave, timed } from "../measure.js"
import { reconnectCycle } from "../reconnectingService.js"
import type { Row } from "../row.js"
import { droppingServer, host } from "../tcp.js"

const cycles = 10_000

export const reconnectOverTcp: Row = {
  name: "a reconnect cycle over loopback TCP, zero delay",
  against: "the same loop on node:net",
  unit: "ms",
  reach: { ratio: 2 },
  samples: Effect.gen(function* () {
    const port = yield* droppingServer
    return yield* interleave({
      rounds: 5,
      warmUp: 2,
      subject: reconnectCycle(port, cycles),
      against: Effect.map(timed(bareCycles(port)), (millis) => millis / cycles)
    })
  })
}

// Connects, and connects again once the connection that the server has dropped is closed on this side too.
const bareCycles = (port: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    let opens = 0
    const connect = (): void => {
      const socket = Net.connect({ host, port })
      socket.on("connect", () => {
        opens += 1
        if (opens === cycles) resume(Effect.sync(() => socket.destroy()))
      })
      socket.on("error", (error) => resume(Effect.die(error)))
      socket.on("close", () => {
        if (opens < cycles) connect()
      })
      socket.resume()
    }
    connect()
  })
