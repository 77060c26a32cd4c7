import { CliConfig, Command, ValidationError } from "@effect/cli"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Duration, Effect, Layer, Logger, LogLevel, Option } from "effect"
import { command, usageError } from "./demo/command.js"
import { commandConsole } from "./demo/commandConsole.js"
import { netcat } from "./demo/netcat.js"
import * as Output from "./demo/output.js"
import * as Screen from "./demo/screen.js"
import { tour } from "./demo/tour.js"
import * as Words from "./demo/words.js"

const gaveUp = 1
const misunderstood = 2

const main = Effect.gen(function* () {
  const stdout = yield* Output.make(process.stdout)
  const stderr = yield* Output.make(process.stderr)
  const console = commandConsole(yield* Effect.console, { stdout, stderr, program: "demo" })

  const refuse = (message: string) => Effect.zipRight(console.error(message), usageError(message))

  const run = Command.withHandler(command, ({ failAfter, retryMax, speed, url }) =>
    Effect.gen(function* () {
      if (Option.isNone(url)) {
        if (Option.isSome(retryMax) || Option.isSome(failAfter)) {
          return yield* refuse("--retry-max and --fail-after take a URL to connect to")
        }
        const shown = tour(
          Screen.make(stdout),
          Option.getOrElse(speed, () => 1)
        )
        return yield* Effect.raceFirst(shown, stdout.closed)
      }
      if (Option.isSome(speed)) return yield* refuse("--speed is for the demo, which takes no URL")
      yield* netcat({
        endpoint: url.value,
        retryMax: Option.getOrElse(retryMax, () => Duration.seconds(30)),
        failAfter: Option.getOrElse(failAfter, () => Number.POSITIVE_INFINITY),
        output: stdout,
        screen: Screen.make(stderr, { isLive: false })
      })
      // What the log would tell is on the screen.
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  return yield* Command.run(run, { name: "demo", version: "0.1.0" })(process.argv).pipe(
    Effect.as(0),
    Effect.scoped,
    Effect.catchTag("RetriesExhausted", (error) =>
      Effect.as(console.error(`${error.service}: ${Words.ofProblem(error)}`), gaveUp)
    ),
    Effect.catchIf(ValidationError.isValidationError, () => Effect.succeed(misunderstood)),
    Effect.withConsole(console),
    Effect.provide(Layer.merge(NodeContext.layer, CliConfig.layer({ showBuiltIns: false })))
  )
})

// Each signal is listened to once, so a second one ends the process as it would without any listener.
let signalled: number | undefined
process.once("SIGINT", () => {
  signalled = 130
})
process.once("SIGTERM", () => {
  signalled = 143
})

let code = 0
NodeRuntime.runMain(
  Effect.map(main, (result) => {
    code = result
  }),
  { teardown: (exit, onExit) => onExit(signalled ?? (exit._tag === "Success" ? code : 1)) }
)
