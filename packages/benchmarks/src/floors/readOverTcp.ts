import * as Effect from "effect/Effect"
import { spawn } from "../child.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"
import { sendingServer } from "../tcp.js"

const total = 256 * 1024 * 1024

const reader = new URL("../tcpReader.js", import.meta.url)

// Each side has a process of its own: in one, each would read into the heap that the other has shaped. None has its garbage
// collected by force before it reads, with which the engine throws away code that it compiles again while it reads.
export const readOverTcp: Row = {
  name: "256 MiB read over loopback TCP, in 64 KiB writes",
  against: "'data' events of node:net",
  unit: "ms",
  reach: { ratio: 1.25 },
  samples: Effect.gen(function* () {
    const port = String(yield* sendingServer(total))
    const service = yield* spawn(reader, "service", port, String(total))
    const bare = yield* spawn(reader, "bare", port, String(total))
    return yield* interleave({ rounds: 21, warmUp: 2, subject: service.ask("read"), against: bare.ask("read") })
  })
}
