/** Opens 1,000 WebSocket clients of one kind, and answers with the heap that each takes once it is connected. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { heapUsed } from "../measure.js"
import { answer } from "../servers/answer.js"
import { clientService, rivals } from "./webSocketClients.js"

const clients = 1_000

const [contender = "", port] = process.argv.slice(2)
const open = Object.entries(rivals).find(([name]) => name === contender)?.[1] ?? clientService

const connected = Effect.flatten(open(`ws://127.0.0.1:${port}`))

const heapOfClient = Effect.gen(function* () {
  // The first ones have code compiled and caches filled.
  yield* Effect.replicateEffect(connected, 50)
  const before = yield* heapUsed
  yield* Effect.replicateEffect(connected, clients)
  const after = yield* heapUsed
  return (after - before) / clients
})

// The Scope keeps the clients until the parent has its answer, and ends this process.
heapOfClient.pipe(
  Effect.tap((bytes) => Effect.sync(() => answer(bytes))),
  Effect.zipRight(Effect.never),
  Effect.scoped,
  Logger.withMinimumLogLevel(LogLevel.None),
  Effect.runFork
)
