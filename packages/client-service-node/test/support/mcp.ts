import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ReadBuffer, serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js"
import type { Transport as McpTransport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js"
import { Data, Effect, type Scope, Stream } from "effect"
import type { ChildProcessEndpoint } from "effect-client-service-node"
import type { Asking } from "./asking.js"

export class McpError extends Data.TaggedError("McpError")<{ readonly cause: unknown }> {}

const attempt = <A>(f: (signal: AbortSignal) => Promise<A>) =>
  Effect.tryPromise({ try: f, catch: (cause) => new McpError({ cause }) })

/** The client of the SDK over a transport, and the tool of the server. */
export const make = (
  transport: ChildProcessEndpoint.ChildProcessTransport
): Effect.Effect<Asking<McpError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const received = new ReadBuffer()
    const connection: McpTransport = {
      start: async () => {},
      send: (message) => Effect.runPromise(transport.write(serializeMessage(message))),
      close: async () => connection.onclose?.()
    }
    const client = new Client({ name: "test", version: "1.0.0" })
    yield* transport.incoming.pipe(
      Stream.runForEach((chunk) =>
        Effect.sync(() => {
          received.append(Buffer.from(chunk))
          for (let message = received.readMessage(); message !== null; message = received.readMessage()) {
            connection.onmessage?.(message)
          }
        })
      ),
      Effect.ignore,
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => Effect.promise(() => client.close()))
    return {
      pid: transport.pid,
      login: attempt(() => client.connect(connection)),
      ping: attempt((signal) => client.ping({ signal })),
      ask: (text) =>
        Effect.map(
          attempt((signal) =>
            client.request(
              { method: "tools/call", params: { name: "echo", arguments: { text } } },
              CallToolResultSchema,
              { signal }
            )
          ),
          ({ content: [first] }) => (first?.type === "text" ? first.text : "")
        )
    }
  })
