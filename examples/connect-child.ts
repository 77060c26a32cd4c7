import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { ClientService } from "effect-client-service"
import { ChildProcessEndpoint, type ChildProcessError } from "effect-client-service-node"
import * as Lines from "./support/lines.js"

type EchoError = ChildProcessError.ChildProcessError | Lines.LinesError

class Echo extends ClientService.Tag("app/Echo")<Echo, Lines.Lines, EchoError>() {}

// Runs the program, again whenever it has ended, and ends it together with this one.
const EchoLive = Echo.layer({
  endpoint: ChildProcessEndpoint.make("cat"),
  protocol: Lines.make
})

const program = Effect.gen(function* () {
  yield* Console.log(yield* Echo.use((echo) => echo.ask("hello")))
})

NodeRuntime.runMain(Effect.provide(program, EchoLive))
