import * as Effect from "effect/Effect"
import { spawn } from "../child.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"
import type { Rival } from "./webSocketClients.js"

const server = new URL("../servers/webSocketServer.js", import.meta.url)
const heapOfClients = new URL("./heapOfClients.js", import.meta.url)

const heapAgainst = (rival: Rival, reach?: Row["reach"]): Row => ({
  name: "heap of a connected WebSocket client, of 1,000",
  against: rival,
  unit: "B",
  ...(reach === undefined ? {} : { reach }),
  samples: Effect.gen(function* () {
    const { next } = yield* spawn(server)
    const port = yield* next
    // A process of its own for each, so that nothing is left in its heap from those before.
    const heapOf = (contender: string) =>
      Effect.scoped(Effect.flatMap(spawn(heapOfClients, contender, String(port)), ({ next }) => next))
    return yield* interleave({
      rounds: 3,
      warmUp: 0,
      subject: heapOf("ClientService"),
      against: heapOf(rival)
    })
  })
})

export const webSocketHeap: ReadonlyArray<Row> = [
  heapAgainst("partysocket", { ratio: 2 }),
  heapAgainst("reconnecting-websocket"),
  heapAgainst("ws, which does not reconnect")
]
