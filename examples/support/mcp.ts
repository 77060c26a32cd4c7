/**
 * The client of the MCP SDK over a `Transport`.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ReadBuffer, serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js"
import type { Transport as McpTransport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js"
import { Data, Effect, type Scope, Stream } from "effect"
import type { Endpoint, Transport } from "effect-client-service"

export class McpError extends Data.TaggedError("McpError")<{ readonly cause: unknown }> {
  override get message(): string {
    return this.cause instanceof Error ? this.cause.message : String(this.cause)
  }
}

export interface Mcp {
  /** Agrees with the server on a version of the protocol, which comes before all else. */
  readonly initialize: Effect.Effect<void, McpError>
  readonly ping: Effect.Effect<void, McpError>
  /** Calls a tool, and gives the text that it answers with. */
  readonly call: (name: string, args?: Record<string, unknown>) => Effect.Effect<string, McpError>
}

export const make = (
  transport: Transport.Transport,
  signal: Endpoint.ConnectionSignal<McpError>
): Effect.Effect<Mcp, never, Scope.Scope> =>
  Effect.gen(function* () {
    const received = new ReadBuffer()
    const connection: McpTransport = {
      start: async () => {},
      send: (message) => Effect.runPromise(transport.write(serializeMessage(message))),
      close: async () => connection.onclose?.()
    }
    const client = new Client({ name: "example", version: "1.0.0" })
    // Not at the end of what is read: a `use` is to fail with ConnectionLost, which comes between that and this.
    yield* Effect.addFinalizer(() => Effect.promise(() => client.close()))
    yield* transport.incoming.pipe(
      Stream.runForEach((chunk) =>
        attempt(() => {
          received.append(Buffer.from(chunk))
          for (let message = received.readMessage(); message !== null; message = received.readMessage()) {
            connection.onmessage?.(message)
          }
        })
      ),
      // It sent what is no message.
      Effect.catchTag("McpError", (error) => Effect.sync(() => signal.lost(error))),
      Effect.ignore,
      Effect.forkScoped
    )
    return {
      initialize: attempt(() => client.connect(connection)),
      ping: Effect.asVoid(attempt((signal) => client.ping({ signal }))),
      call: (name, args = {}) =>
        Effect.map(
          attempt((signal) =>
            client.request({ method: "tools/call", params: { name, arguments: args } }, CallToolResultSchema, {
              signal
            })
          ),
          ({ content }) => content.map((part) => (part.type === "text" ? part.text : part.type)).join("\n")
        )
    }
  })

const attempt = <A>(f: (signal: AbortSignal) => A | Promise<A>): Effect.Effect<A, McpError> =>
  Effect.tryPromise({ try: async (signal) => f(signal), catch: (cause) => new McpError({ cause }) })
