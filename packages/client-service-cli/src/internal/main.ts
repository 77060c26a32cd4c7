/**
 * The command, from its arguments to its exit code.
 */
import { readFileSync } from "node:fs"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Race from "effect-client-service/Race"
import { command, unusable } from "./command.js"
import { commandConsole } from "./commandConsole.js"
import { exitCodes } from "./exitCodes.js"
import { codeOf, keepalive, refuse, type Streams, tell } from "./keepalive.js"

/** `signalled` gives the exit code of the signal that interrupts this. */
export const main = (
  args: ReadonlyArray<string>,
  streams: Streams,
  signalled: () => number | undefined
): Effect.Effect<number> =>
  Effect.gen(function* () {
    const run = Command.withHandler(command, (flags) =>
      // The parser takes the one option that may be repeated for one that is not there.
      args.at(-1) === "--header"
        ? refuse(unusable("--header"))
        : // What the log would tell is told by the report.
          Logger.withMinimumLogLevel(keepalive(flags, streams, signalled), LogLevel.None)
    )
    const parse = Command.run(run, { name: "keepalive", version })
    return yield* parse([process.execPath, "keepalive", ...args]).pipe(
      Effect.scoped,
      // Help, the version and completions are written by the parser, which does not look whether they could be.
      Effect.zipRight(failureSoFar(streams.stdout)),
      Effect.as(exitCodes.done),
      Effect.catchAll((error) => Effect.succeed(codeOf(error))),
      Effect.withConsole(
        commandConsole(yield* Effect.console, {
          ...streams,
          program: "keepalive",
          // A script for a shell is to be printed as it is.
          isScript: args.includes("--completions")
        })
      ),
      Effect.provide(Layer.merge(NodeContext.layer, CliConfig.layer({ showBuiltIns: false })))
    )
  })

/** Fails if the output has failed. Node.js tells of that after the write. */
const failureSoFar = ({ closed }: Streams["stdout"]) =>
  Race.firstOf(
    Effect.tapError(closed, tell),
    Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))
  )

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8")
)

const { version } = manifest
