/**
 * An MCP server by the SDK, which has a tool that tells the rate of a currency, and one that ends the server in the middle.
 */
import { Server } from "@modelcontextprotocol/sdk/server/index.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import { CallToolRequestSchema } from "@modelcontextprotocol/sdk/types.js"

const rates: Record<string, string> = { EUR: "1.25", GBP: "1.41" }

const server = new Server({ name: "rates", version: "1.0.0" }, { capabilities: { tools: {} } })

server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
  if (params.name === "crash") {
    console.error("out of rates")
    process.exit(1)
  }
  const text = rates[String(params.arguments?.["currency"])]
  return text === undefined
    ? { content: [{ type: "text", text: "no such currency" }], isError: true }
    : { content: [{ type: "text", text }] }
})

await server.connect(new StdioServerTransport())
