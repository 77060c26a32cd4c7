import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { spawn } from "../child.js"
import { monotonicMillis } from "../monotonicMillis.js"
import * as Progress from "../progress.js"
import type { Row } from "../row.js"
import { clientService, delays, type Rival, rivals } from "./webSocketClients.js"

// Such that they end at all kinds of moments between two attempts.
const lengths = [230, 410, 690, 870, 1_130, 1_390, 1_610, 1_850, 2_170, 2_450, 2_710]

const server = new URL("../servers/webSocketServer.js", import.meta.url)

const outagesAgainst = (rival: Rival): Row => ({
  name: "from a WebSocket server's return to a usable connection",
  against: rival,
  unit: "ms",
  samples: Effect.gen(function* () {
    const { ask, next } = yield* spawn(server)
    const url = `ws://127.0.0.1:${yield* next}`
    const clients = yield* Effect.all([clientService(url), rivals[rival](url)])
    const connections = Effect.forEach(clients, (connected) => Effect.map(connected, monotonicMillis), {
      concurrency: "unbounded"
    })
    yield* connections

    const subject: Array<number> = []
    const against: Array<number> = []
    for (const [round, length] of lengths.entries()) {
      Progress.round(round + 1, lengths.length)
      // Both begin their delays afresh after a connection that lasted.
      yield* Effect.sleep(delays.stableAfter * 2)
      yield* ask("down")
      yield* Effect.sleep(length)
      const reconnected = yield* Effect.fork(connections)
      const back = yield* ask("up")
      const [our = Number.NaN, their = Number.NaN] = yield* Fiber.join(reconnected)
      subject.push(our - back)
      against.push(their - back)
    }
    return { subject, against }
  })
})

export const outages: ReadonlyArray<Row> = [outagesAgainst("partysocket"), outagesAgainst("reconnecting-websocket")]
