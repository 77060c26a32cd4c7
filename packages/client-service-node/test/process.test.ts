import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeAuthority } from "./support/certificates.js"
import { endsByItself, run, startServer } from "./support/child.js"

describe("the process", () => {
  it.scopedLive("recovers from a killed server in use", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const client = yield* run("client.ts", [String(server.port)])
      yield* client.line("answer question")
      yield* server.signal("SIGKILL")
      yield* client.line("state Waiting")
      yield* startServer(server.port)
      yield* client.line("state Connected")
      yield* client.line("answer question")
      yield* endsByItself(client)
    })
  )

  it.scopedLive("recovers from a killed server in prepare", () =>
    Effect.gen(function* () {
      const server = yield* startServer(0, ["--mute"])
      const client = yield* run("client.ts", [String(server.port)])
      yield* server.line("received hello")
      yield* server.signal("SIGKILL")
      yield* client.line("state Waiting")
      yield* startServer(server.port)
      yield* client.line("answer question")
      yield* endsByItself(client)
    })
  )

  it.scopedLive("recovers from a stopped and then killed server in a TLS handshake", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const { cert, key } = yield* authority.issue("127.0.0.1")
      const env = { TLS_CERT: cert, TLS_KEY: key }
      const server = yield* startServer(0, [], env)
      yield* server.signal("SIGSTOP")
      const client = yield* run("client.ts", [String(server.port)], { TLS_CA: authority.ca })
      // The attempt ran into its timeout.
      yield* client.line("state Waiting")
      yield* client.line("state Connecting")
      yield* server.signal("SIGKILL")
      yield* client.line("state Waiting")
      yield* startServer(server.port, [], env)
      yield* client.line("answer question")
      yield* endsByItself(client)
    })
  )

  it.scopedLive("recovers from a server that is stopped for a while in use", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const client = yield* run("client.ts", [String(server.port)])
      yield* client.line("answer question")
      yield* server.signal("SIGSTOP")
      yield* client.line("failure TimeoutException")
      yield* server.signal("SIGCONT")
      yield* client.line("answer question")
      yield* endsByItself(client)
    })
  )

  it.scopedLive("recovers from a server that is stopped for a while in prepare", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      yield* server.signal("SIGSTOP")
      const client = yield* run("client.ts", [String(server.port)])
      yield* client.line("state Waiting")
      yield* client.line("state Connecting")
      yield* server.signal("SIGCONT")
      yield* client.line("answer question")
      yield* endsByItself(client)
    })
  )

  it.scopedLive("ends though the server is stopped", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const client = yield* run("client.ts", [String(server.port)])
      yield* client.line("answer question")
      yield* server.signal("SIGSTOP")
      yield* client.line("failure TimeoutException")
      yield* endsByItself(client)
    })
  )
})
