import { mkdtempSync, rmSync } from "node:fs"
import type * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect, Scope } from "effect"
import { Endpoint, TestEndpoint, type Transport } from "effect-client-service"
import { ChildProcessEndpoint, NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "./support/certificates.js"
import { running } from "./support/processes.js"
import { echo, listen, type ServerOptions } from "./support/server.js"
import { readText, type SocketEndpoint } from "./support/service.js"

const host = "127.0.0.1"

const ping = (transport: Transport.Transport) =>
  Effect.gen(function* () {
    yield* transport.write("ping")
    expect(yield* readText(transport, 4)).toBe("ping")
  })

/** A server that echoes and counts. */
const serve = (options?: ServerOptions) =>
  Effect.gen(function* () {
    const counts = { all: 0, open: 0 }
    const onConnection = (socket: Net.Socket) => {
      counts.all += 1
      counts.open += 1
      socket.on("close", () => {
        counts.open -= 1
      })
      echo(socket)
    }
    const { port } = yield* listen(onConnection, options)
    return { counts, open: Effect.sync(() => counts.open), port }
  })

const check = (endpoint: SocketEndpoint, { counts, open }: Effect.Effect.Success<ReturnType<typeof serve>>) =>
  Effect.gen(function* () {
    yield* TestEndpoint.checkEndpoint(endpoint, { open, use: ping })
    expect(counts.all).toBeGreaterThan(30)
  })

it.scopedLive("TCP keeps the rules of an endpoint", () =>
  Effect.gen(function* () {
    const server = yield* serve()
    yield* check(NodeEndpoint.tcp({ host, port: server.port }), server)
  })
)

it.scopedLive("TLS keeps the rules of an endpoint", () =>
  Effect.gen(function* () {
    const authority = yield* makeAuthority()
    const server = yield* serve({ tls: yield* authority.issue(host) })
    yield* check(NodeEndpoint.tls({ host, port: server.port, ca: authority.ca }), server)
  })
)

it.scopedLive("a Unix socket keeps the rules of an endpoint", () =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "check-endpoint-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true }))
    )
    const path = join(directory, "socket")
    const server = yield* serve({ path })
    yield* check(NodeEndpoint.unix({ path }), server)
  })
)

it.scopedLive("happyEyeballs over TCP keeps them too", () =>
  Effect.gen(function* () {
    const server = yield* serve()
    const endpoint = NodeEndpoint.tcp({ host, port: server.port })
    yield* TestEndpoint.checkEndpoint(Endpoint.happyEyeballs([endpoint, endpoint], { delay: "1 millis" }), {
      open: server.open,
      use: ping
    })
  })
)

it.scopedLive("TCP whose sockets belong to another Scope is found out", () =>
  Effect.gen(function* () {
    const server = yield* serve()
    const { connect } = NodeEndpoint.tcp({ host, port: server.port })
    const owner = yield* Effect.scope
    const leaking = Endpoint.make({ name: "leaking", connect: () => Scope.extend(connect({ lost: () => {} }), owner) })
    const error = yield* Effect.flip(TestEndpoint.checkEndpoint(leaking, { open: server.open, patience: "2 seconds" }))
    expect(error).toMatchObject({ _tag: "EndpointRuleBroken", endpoint: "leaking", rule: "Releases" })
  })
)

it.scopedLive("a child process keeps the rules of an endpoint", () =>
  Effect.gen(function* () {
    // What keeps it from a process of another test.
    const marker = `rules-${process.pid}`
    const endpoint = ChildProcessEndpoint.make("sh", ["-c", `: ${marker}; cat; :`], { killTimeout: "5 seconds" })
    const open = Effect.sync(() => running().filter(({ command }) => command.includes(marker)).length)
    yield* TestEndpoint.checkEndpoint(endpoint, { open, use: ping })
  })
)
