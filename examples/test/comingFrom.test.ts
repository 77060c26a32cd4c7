/**
 * What the pages "Coming from" say of clients that need no server of their own: what they do, and what ClientService does.
 */
import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, Queue, type Scope } from "effect"
import PartySocket from "partysocket/ws"
import { type WebSocket, WebSocketServer, WebSocket as Ws } from "ws"
import * as party from "../coming-from/partysocket/before.js"
import { after } from "../coming-from/reconnecting-websocket/after.js"
import * as reconnecting from "../coming-from/reconnecting-websocket/before.js"
import * as rpcAfter from "../coming-from/rpc-client/after.js"
import * as rpcBefore from "../coming-from/rpc-client/before.js"
import * as counterServer from "../support/counterServer.js"
import { ReconnectingWebSocket } from "../support/reconnectingWebSocket.js"

describe("WebSockets", () => {
  interface Client {
    readonly send: (message: string) => Effect.Effect<void, unknown>
  }

  const beforeOf =
    (before: typeof reconnecting.before) =>
    (url: string, onMessage: (message: string) => void): Effect.Effect<Client, never, Scope.Scope> =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => before(url, onMessage)),
          ({ close }) => Effect.sync(close)
        ),
        ({ send }) => ({ send: (message) => Effect.sync(() => send(message)) })
      )

  const serve = Effect.gen(function* () {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    yield* Effect.promise(() => once(server, "listening"))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const client of server.clients) client.terminate()
        server.close()
      })
    )
    const received = yield* Queue.unbounded<string>()
    server.on("connection", (client: WebSocket) => {
      client.on("message", (message) => {
        received.unsafeOffer(String(message))
        client.send(`heard ${message}`)
      })
    })
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.dieMessage("not a TCP server")
    const close = Effect.sync(() => {
      for (const client of server.clients) client.close(1012)
    })
    const drop = Effect.sync(() => {
      for (const client of server.clients) client.terminate()
    })
    return { url: `ws://127.0.0.1:${address.port}`, received, close, drop }
  })

  // What the server is sent on two connections, where somebody sends before there is the first.
  const story = (
    open: (url: string, onMessage: (message: string) => void) => Effect.Effect<Client, never, Scope.Scope>
  ) =>
    Effect.gen(function* () {
      const { close, received, url } = yield* serve
      const answers = yield* Queue.unbounded<string>()
      const { send } = yield* open(url, (message) => answers.unsafeOffer(message))
      yield* Effect.fork(send("one"))
      const first = yield* Queue.takeN(received, 2)
      yield* Queue.takeN(answers, 2)
      yield* close
      return [...first, yield* Queue.take(received)]
    })

  for (const [name, before] of [
    ["reconnecting-websocket", reconnecting.before],
    ["partysocket", party.before]
  ] as const) {
    it.scopedLive(`${name}: what was kept goes out before the login`, () =>
      Effect.gen(function* () {
        expect(yield* story(beforeOf(before))).toEqual(["one", "login alice", "login alice"])
      })
    )
  }

  for (const [name, make] of [
    [
      "reconnecting-websocket",
      (url: string) => new ReconnectingWebSocket(url, undefined, { WebSocket: Ws, minReconnectionDelay: 10 })
    ],
    ["partysocket", (url: string) => new PartySocket(url, undefined, { WebSocket: Ws, minReconnectionDelay: 10 })]
  ] as const) {
    it.scopedLive(`${name}: keeps what is sent before, without a limit, and says nothing of what is lost later`, () =>
      Effect.gen(function* () {
        const { drop, received, url } = yield* serve
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => make(url)),
          (client) => Effect.sync(() => client.close())
        )
        for (let i = 0; i < 20_000; i++) client.send("kept")
        expect(yield* Queue.takeN(received, 20_000)).toHaveLength(20_000)
        // It is not told yet that the connection is gone.
        yield* drop
        client.send("lost")
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => client.retryCount > 0 })
        client.send("kept")
        expect(yield* Queue.take(received)).toBe("kept")
      })
    )
  }

  it.scopedLive("ClientService: the login comes first, on each connection", () =>
    Effect.gen(function* () {
      expect(yield* story(after)).toEqual(["login alice", "one", "login alice"])
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})

describe("RpcClient", () => {
  it.scopedLive("with Effect.retry: the next connection is not logged in", () =>
    Effect.gen(function* () {
      const counted = Effect.flatMap(rpcBefore.before, ({ count }) => Effect.flip(count))
      const error = yield* Effect.provide(counted, rpcBefore.protocol(yield* counterServer.serve))
      expect(error).toMatchObject({ _tag: "NotLoggedIn" })
    })
  )

  it.scopedLive(
    "over ClientService: whoever called learns that it may have been counted, and the next one counts",
    () =>
      Effect.gen(function* () {
        const counted = Effect.gen(function* () {
          const { count } = yield* rpcAfter.after
          return [yield* Effect.flip(count), yield* count] as const
        })
        const [error, next] = yield* Effect.provide(counted, rpcAfter.protocol(yield* counterServer.serve))
        expect(error).toMatchObject({ _tag: "RpcClientError", cause: { _tag: "ConnectionLost" } })
        expect(next).toBe(2)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})

const python = spawnSync("python3", ["--version"])

describe.skipIf(python.status !== 0)("Twisted", () => {
  it("the program in Python is one", () => {
    const file = fileURLToPath(new URL("../coming-from/twisted/client.py", import.meta.url))
    const parsed = spawnSync("python3", ["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", file])
    expect(String(parsed.stderr)).toBe("")
    expect(parsed.status).toBe(0)
  })
})
