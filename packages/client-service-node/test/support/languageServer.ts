import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { Data, Deferred, Effect, type Scope, Stream } from "effect"
import type { ChildProcessEndpoint } from "effect-client-service-node"
import type { Asking } from "./asking.js"

export class LanguageServerError extends Data.TaggedError("LanguageServerError")<{ readonly cause: unknown }> {}

/** The language server for JSON of VS Code, a program for Node.js. */
export const program = join(
  dirname(createRequire(import.meta.url).resolve("vscode-langservers-extracted/package.json")),
  "bin/vscode-json-language-server"
)

interface Message {
  readonly id?: number
  readonly method?: string
  readonly result?: unknown
  readonly error?: unknown
}

/** Asks for the symbols of documents, each of which has one. */
export const make = (
  transport: ChildProcessEndpoint.ChildProcessTransport
): Effect.Effect<Asking<LanguageServerError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const asked = new Map<number, Deferred.Deferred<unknown, LanguageServerError>>()
    let rest = Buffer.alloc(0)
    let ids = 0

    const messages = (chunk: Uint8Array): ReadonlyArray<Message> => {
      const found: Array<Message> = []
      rest = Buffer.concat([rest, chunk])
      for (;;) {
        const head = rest.indexOf("\r\n\r\n")
        if (head < 0) return found
        const begin = head + 4
        const end = begin + Number(/Content-Length: (\d+)/i.exec(rest.toString("utf8", 0, head))?.[1])
        if (rest.length < end) return found
        found.push(JSON.parse(rest.toString("utf8", begin, end)))
        rest = rest.subarray(end)
      }
    }
    const send = (message: object) => {
      const body = JSON.stringify({ jsonrpc: "2.0", ...message })
      return Effect.mapError(
        transport.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
        (cause) => new LanguageServerError({ cause })
      )
    }
    const request = (method: string, params: object) =>
      Effect.gen(function* () {
        const answer = yield* Deferred.make<unknown, LanguageServerError>()
        const id = ++ids
        asked.set(id, answer)
        yield* send({ id, method, params })
        return yield* Deferred.await(answer)
      })
    yield* transport.incoming.pipe(
      Stream.mapConcat(messages),
      Stream.runForEach(({ error, id, method, result }) => {
        // What it asks in turn needs no answer here.
        const answer = id === undefined || method !== undefined ? undefined : asked.get(id)
        if (id === undefined || answer === undefined) return Effect.void
        asked.delete(id)
        return error === undefined
          ? Deferred.succeed(answer, result)
          : Deferred.fail(answer, new LanguageServerError({ cause: error }))
      }),
      Effect.ignore,
      Effect.forkScoped
    )
    const symbols = (text: string) =>
      Effect.gen(function* () {
        const textDocument = { uri: `file:///${encodeURIComponent(text)}.json` }
        const document = { ...textDocument, languageId: "json", version: 1, text: JSON.stringify({ [text]: 1 }) }
        yield* send({ method: "textDocument/didOpen", params: { textDocument: document } })
        const found = yield* request("textDocument/documentSymbol", { textDocument })
        yield* send({ method: "textDocument/didClose", params: { textDocument } })
        const [first]: ReadonlyArray<unknown> = Array.isArray(found) ? found : []
        return typeof first === "object" && first !== null && "name" in first ? String(first.name) : ""
      })
    return {
      pid: transport.pid,
      login: Effect.zipRight(
        request("initialize", { processId: null, rootUri: null, capabilities: {} }),
        send({ method: "initialized", params: {} })
      ),
      ping: symbols("ping"),
      ask: symbols
    }
  })
