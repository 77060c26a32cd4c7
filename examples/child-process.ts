/**
 * Asks an MCP server, a child process, that ends in the middle.
 */
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { ClientService } from "effect-client-service"
import { ChildProcessEndpoint, type ChildProcessError } from "effect-client-service-node"
import * as Mcp from "./support/mcp.js"

// Run as this program is.
const file = `support/mcpServer${extname(import.meta.url)}`
const server = [...process.execArgv, fileURLToPath(new URL(file, import.meta.url))]

// #region readme
type RatesError = ChildProcessError.ChildProcessError | Mcp.McpError

class Rates extends ClientService.Tag("app/Rates")<Rates, Mcp.Mcp, RatesError>() {}

const RatesLive = Rates.layer({
  endpoint: ChildProcessEndpoint.make("node", server),
  protocol: Mcp.make,
  prepare: (mcp) => mcp.initialize,
  // A server that hangs is noticed too, and replaced.
  heartbeat: { probe: (mcp) => mcp.ping, interval: "10 seconds", timeout: "5 seconds" }
})

const program = Effect.gen(function* () {
  yield* Console.log(yield* Rates.use((mcp) => mcp.call("rate", { currency: "EUR" })))
  // The server ends instead of answering.
  const lost = yield* Effect.flip(Rates.use((mcp) => mcp.call("crash")))
  yield* Console.log(lost.message)
  // And is there again.
  yield* Console.log(yield* Rates.use((mcp) => mcp.call("rate", { currency: "GBP" })))
})
// #endregion

NodeRuntime.runMain(Effect.provide(program, RatesLive))
