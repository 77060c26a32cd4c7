import * as Net from "node:net"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import { ClientService, Exchange, Framing } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { timedCalls } from "./callers.js"
import { answer } from "./servers/answer.js"
import { host } from "./tcp.js"

// A child process whose callers each ask a line after the other, of a server that sends them back, each time that it is asked,
// and answers with the milliseconds a question took: `lineExchanger.ts exchange|bare PORT CALLERS CALLS`.

type Ask = (line: string) => Effect.Effect<string, unknown>

const exchange = (port: number): Effect.Effect<Ask, never, Scope.Scope> =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: NodeEndpoint.tcp({ host, port }),
      protocol: Framing.protocol(Framing.lines(), Exchange.inOrder)
    })
    yield* service.start
    return (yield* service.whenConnected()).ask
  }).pipe(Effect.orDie)

const bare = (port: number): Effect.Effect<Ask, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<Net.Socket>((resume) => {
        const socket = Net.connect({ host, port, noDelay: true }, () => resume(Effect.succeed(socket)))
        socket.on("error", (error) => resume(Effect.die(error)))
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => {
      const asked: Array<(line: string) => void> = []
      let rest = ""
      socket.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n")
        rest = lines.pop() ?? ""
        for (const line of lines) asked.shift()?.(line)
      })
      return (line) =>
        Effect.async((resume) => {
          asked.push((answer) => resume(Effect.succeed(answer)))
          socket.write(`${line}\n`)
        })
    }
  )

const [, , side, port, callers, calls] = process.argv

Effect.gen(function* () {
  const ask = yield* (side === "exchange" ? exchange : bare)(Number(port))
  let asked = 0
  const measure = timedCalls(Number(calls), Number(callers), () => {
    asked += 1
    return ask(`question ${asked}`)
  })
  process.on("message", () => {
    void Effect.runPromise(measure).then(answer)
  })
  return yield* Effect.never
}).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.None), Effect.runFork)
