/** Measures every row, prints one table of all, and writes it as JSON. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { amqpPublishes } from "./against/amqpPublishes.js"
import { naiveWaiters } from "./against/naiveWaiters.js"
import { outages } from "./against/outages.js"
import { pgQueries } from "./against/pgQueries.js"
import { redisGets } from "./against/redisGets.js"
import { retryAroundSocket } from "./against/retryAroundSocket.js"
import { rpcs } from "./against/rpcs.js"
import { webSocketHeap } from "./against/webSocketHeap.js"
import { webSocketMessages } from "./against/webSocketMessages.js"
import { heapOfService } from "./floors/heapOfService.js"
import { lineExchanges } from "./floors/lineExchanges.js"
import { mapGet } from "./floors/mapGet.js"
import { readOverTcp } from "./floors/readOverTcp.js"
import { reconnectInMemory, reconnectMeasured } from "./floors/reconnectInMemory.js"
import { reconnectOverTcp } from "./floors/reconnectOverTcp.js"
import { streams } from "./floors/streams.js"
import { uses } from "./floors/uses.js"
import { waiterInterrupted } from "./floors/waiterInterrupted.js"
import { waitersWoken } from "./floors/waitersWoken.js"
import { whenConnected } from "./floors/whenConnected.js"
import { optionsOf } from "./options.js"
import * as Progress from "./progress.js"
import { machine, writeResults } from "./results.js"
import { type Result, type Row, resultOf } from "./row.js"
import { outcome, table } from "./table.js"

const sections: ReadonlyArray<readonly [title: string, rows: ReadonlyArray<Row>]> = [
  [
    "against a floor",
    [
      whenConnected,
      ...uses,
      waitersWoken,
      waiterInterrupted,
      reconnectInMemory,
      reconnectMeasured,
      reconnectOverTcp,
      readOverTcp,
      ...lineExchanges,
      ...streams,
      mapGet,
      heapOfService
    ]
  ],
  ["against what else one would write or take", [retryAroundSocket, naiveWaiters, ...outages, ...webSocketHeap]],
  ["against the client by itself", [...redisGets, ...pgQueries, amqpPublishes, ...rpcs, webSocketMessages]]
]

const usage = `Usage: npm run bench -- [--only <text>] [--help]

Measures the client service, each row against a floor or a rival in the same run. Prints a table, and writes it to
packages/benchmarks/build/results.json. It takes some minutes; rows under way are told on stderr. Servers are installed
from Debian where that may be done; a row whose server can't be had is left out.

  --only <text>  only the rows with this text in their names
  --help         this text

Rows:
${sections.map(([title, rows]) => [title, ...rows.map(nameOf)].join("\n  ")).join("\n")}`

const { help, only, refuse } = optionsOf(usage, {
  only: { type: "string", default: "" },
  help: { type: "boolean", default: false }
})
if (help) {
  console.log(usage)
} else {
  const wanted = sections
    .map(([title, rows]) => [title, rows.filter((row) => nameOf(row).includes(only))] as const)
    .filter(([, rows]) => rows.length > 0)
  if (wanted.length === 0) refuse(`no row has "${only}" in its name`)

  const results = await Effect.runPromise(measureAll(wanted).pipe(Logger.withMinimumLogLevel(LogLevel.None)))
  console.log(table(results))
  const rows = results.flatMap(([section, results]) => results.map((result) => ({ section, ...result })))
  writeResults("results.json", { machine, rows })
}

function measureAll(wanted: typeof sections) {
  const total = wanted.flatMap(([, rows]) => rows).length
  let number = 0
  const measure = (row: Row): Effect.Effect<Option.Option<Result>> =>
    Effect.suspend(() => {
      number += 1
      Progress.begun(nameOf(row), number, total)
      return Effect.scoped(row.samples)
    }).pipe(
      Effect.timed,
      Effect.map(([duration, samples]) => {
        const result = resultOf(row, samples)
        Progress.ended(outcome(result), duration)
        return Option.some(result)
      }),
      Effect.catchAll(({ reason }) => {
        Progress.leftOut(reason)
        return Effect.succeedNone
      })
    )
  return Effect.forEach(wanted, ([title, rows]) =>
    Effect.map(Effect.forEach(rows, measure), (results) => [title, results.flatMap(Option.toArray)] as const)
  )
}

function nameOf({ against, name }: Row) {
  return against === "" ? name : `${name}, against ${against}`
}
