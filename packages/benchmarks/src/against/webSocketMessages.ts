import * as Effect from "effect/Effect"
import { spawn } from "../child.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"

const server = new URL("../servers/webSocketServer.js", import.meta.url)
const exchanger = new URL("../webSocketExchanger.js", import.meta.url)

export const webSocketMessages: Row = {
  name: "100,000 messages of 64 bytes each way over a WebSocket",
  against: "ws with callbacks",
  unit: "ms",
  reach: { ratio: 1.3 },
  samples: Effect.gen(function* () {
    const { next } = yield* spawn(server)
    const port = String(yield* next)
    // A process of its own for each, so that neither works on the heap that the other has shaped.
    const service = yield* spawn(exchanger, "service", port)
    const bare = yield* spawn(exchanger, "bare", port)
    return yield* interleave({ rounds: 9, warmUp: 3, subject: service.ask("go"), against: bare.ask("go") })
  })
}
