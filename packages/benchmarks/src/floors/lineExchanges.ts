import * as Effect from "effect/Effect"
import { callersOf } from "../callers.js"
import { spawn } from "../child.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"
import { echoingServer } from "../tcp.js"

const exchanger = new URL("../lineExchanger.js", import.meta.url)

// A process of its own for each side, so that neither works on the heap that the other has shaped.
const exchangesBy = (callers: number, calls: number): Row => ({
  name: `a line asked over loopback TCP by Exchange, ${callersOf(callers)}`,
  against: "'data' events of node:net",
  unit: "ms",
  reach: { ratio: 1.2 },
  samples: Effect.gen(function* () {
    const options = [String(yield* echoingServer), String(callers), String(calls)] as const
    const exchange = yield* spawn(exchanger, "exchange", ...options)
    const bare = yield* spawn(exchanger, "bare", ...options)
    return yield* interleave({ rounds: 11, warmUp: 2, subject: exchange.ask("go"), against: bare.ask("go") })
  })
})

export const lineExchanges: ReadonlyArray<Row> = [
  exchangesBy(1, 10_000),
  exchangesBy(100, 100_000),
  exchangesBy(1_000, 100_000)
]
