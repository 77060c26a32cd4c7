/** Does to the server of each client what servers do, and tells what comes of it. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import { columns, markdown } from "../grid.js"
import { optionsOf } from "../options.js"
import * as Progress from "../progress.js"
import { amqpClient } from "./amqpClient.js"
import { byItself, type Client, type Server, type Subject, underClientService } from "./Client.js"
import { mqttClient } from "./mqttClient.js"
import { natsClient } from "./natsClient.js"
import { pgClient } from "./pgClient.js"
import { redisClient } from "./redisClient.js"
import { killed, paused, reasonOf, refuses, type Scenario } from "./scenarios.js"
import { webSocketClients } from "./webSocketClients.js"

const usage = `Usage: npm run bench:clients -- [--only <text>] [--markdown] [--help]

Has the server of each client killed, paused, and refuse the client's login, and prints what the client does about it: by
itself, and under ClientService. Takes one or two minutes a client. The servers are installed from Debian where that may be
done; a client whose server can't be had is left out.

  --only <text>  only the clients that have this in their name
  --markdown     prints the table in Markdown
  --help         this text`

const clients: ReadonlyArray<Client> = [mqttClient, amqpClient, natsClient, redisClient, pgClient, ...webSocketClients]
const scenarios: ReadonlyArray<Scenario> = [killed, paused, refuses]

// What it prints is the table.
const quiet = Logger.minimumLogLevel(LogLevel.None)

type Connect = (server: Server) => Effect.Effect<Subject, never, Scope.Scope>

interface Observed {
  readonly facts: ReadonlyArray<string>
  readonly hasCrashed: boolean
}

/** What is told of an error that nobody handles, which ends a program that is not this one. */
let unhandled: ((error: unknown) => void) | undefined
process.on("uncaughtException", (error) => unhandled?.(error))

const observe = (server: Server, scenario: Scenario, connect: Connect): Effect.Effect<Observed> => {
  const crash = Effect.async<Observed>((resume) => {
    unhandled = (error) => resume(Effect.succeed({ facts: [reasonOf(error)], hasCrashed: true }))
    return Effect.sync(() => {
      unhandled = undefined
    })
  })
  const facts = Effect.gen(function* () {
    const subject = yield* connect(server)
    yield* Effect.promise(subject.call)
    return { facts: yield* scenario(server, subject), hasCrashed: false }
  })
  const bounded = Effect.timeoutTo(facts, {
    duration: "3 minutes",
    onSuccess: (observed): Observed => observed,
    onTimeout: () => ({ facts: ["has not done with it in 3 minutes"], hasCrashed: false })
  })
  return Effect.scoped(Effect.raceFirst(bounded, crash))
}

const observeAlone = (client: Client, server: Server, scenario: Scenario): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const bare = yield* observe(server, scenario, (server) => byItself(client, server, false))
    if (!bare.hasCrashed) return bare.facts
    const crash = `without an \`error\` listener, ends the program`
    // It may have ended at any point of what was done to the server.
    yield* settle(server)
    const { facts, hasCrashed } = yield* observe(server, scenario, (server) => byItself(client, server, true))
    return hasCrashed ? [crash, `with one, too: ${facts.join()}`] : [crash, ...facts]
  })

const settle = (server: Server): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* server.kill
    yield* server.start
    yield* server.setPassword(server.password)
    yield* server.kill
    yield* server.start
  })

const linesOf = (client: Client): Effect.Effect<ReadonlyArray<ReadonlyArray<string>>> =>
  Effect.gen(function* () {
    const server = yield* client.server
    if (typeof server === "string") {
      console.error(server)
      return []
    }
    const cells: Array<readonly [alone: string, under: string]> = []
    for (const scenario of scenarios) {
      const alone = yield* observeAlone(client, server, scenario)
      const under = yield* observe(server, scenario, (server) => underClientService(client, server))
      cells.push([alone.join("; "), under.facts.join("; ")])
    }
    return [
      [`${client.name} by itself`, ...cells.map(([alone]) => alone)],
      [`${client.under ?? client.name} under ClientService`, ...cells.map(([, under]) => under)]
    ]
  }).pipe(Effect.scoped)

const options = optionsOf(usage, {
  only: { type: "string", default: "" },
  markdown: { type: "boolean", default: false },
  help: { type: "boolean", default: false }
})
if (options.help) {
  console.log(usage)
} else {
  const chosen = clients.filter(({ name }) => name.includes(options.only))
  if (chosen.length === 0) options.refuse(`No client has ${options.only} in its name.`)
  const lines: Array<ReadonlyArray<string>> = []
  for (const [index, client] of chosen.entries()) {
    Progress.begun(client.name, index + 1, chosen.length)
    lines.push(...(await Effect.runPromise(Effect.provide(linesOf(client), quiet))))
  }
  const head = ["", "killed, down for 3 s", "paused for 6 s", "refuses logins for 6 s"]
  console.log(options.markdown ? markdown(head, lines) : columns(head, lines))
  // A client by itself may have left something behind that goes on.
  process.exit()
}
