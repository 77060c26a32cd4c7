import { readFileSync } from "node:fs"
import { join } from "node:path"
import { RpcClient, type RpcClientError } from "@effect/rpc"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, LogLevel, Queue, Stream } from "effect"
import { ConnectionError, RetryPolicy } from "effect-client-service"
import { RpcConnection } from "effect-client-service-rpc"
import { Ledger, serializations } from "./fixtures/ledger.js"
import { serve, temporaryDirectory } from "./support/child.js"
import { tcp, webSocket } from "./support/servers.js"
import { causeOf } from "./support/service.js"

const { ConnectionLost, HeartbeatTimeout } = ConnectionError

/** A client of a server that may be there or not. It retries after 20 ms. */
const connectTo = (
  port: number,
  options: {
    readonly transport?: "tcp" | "websocket"
    readonly serialization?: keyof typeof serializations
    readonly heartbeat?: ReturnType<typeof RpcConnection.heartbeat>
  } = {}
) => {
  const retryPolicy = RetryPolicy.fromFunction(() => "20 millis")
  const { heartbeat } = options
  const protocol =
    options.transport === "websocket"
      ? RpcConnection.layer({ endpoint: webSocket.endpoint(port), retryPolicy, heartbeat })
      : RpcConnection.layer({ endpoint: tcp.endpoint(port), retryPolicy, heartbeat })
  return Effect.gen(function* () {
    const context = yield* Layer.build(Layer.provide(protocol, serializations[options.serialization ?? "ndjson"]))
    return yield* Effect.provide(RpcClient.make(Ledger), context)
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
}

/** A port that nothing listens on. */
const closedPort = Effect.scoped(Effect.map(serve({}), ({ port }) => port))

describe("a server in a process of its own", () => {
  it.scopedLive("may be down at the start", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const client = yield* connectTo(port)
      const call = yield* Effect.fork(client.Enter({ entry: "first" }))
      yield* serve({ port })
      yield* Fiber.join(call)
    })
  )

  for (const [transport, serialization] of [
    ["tcp", "ndjson"],
    ["tcp", "msgpack"],
    ["websocket", "ndjson"]
  ] as const) {
    it.scopedLive(
      `is killed under load: what it acknowledged was done, and nothing twice (${transport}, ${serialization})`,
      () =>
        Effect.gen(function* () {
          const file = join(yield* temporaryDirectory, "ledger")
          const options = { transport, serialization, file }
          let server = yield* serve(options)
          const client = yield* connectTo(server.port, options)

          const acknowledged: Array<string> = []
          const lost = new Set<string>()
          const acknowledgements = yield* Queue.unbounded<void>()
          let isDone = false

          // An entry that may have been made is made again, marked as another attempt at it.
          const enter = (entry: number, attempt: number): Effect.Effect<void, RpcClientError.RpcClientError> => {
            const text = `${entry} ${attempt}`
            return client.Enter({ entry: text }).pipe(
              Effect.tap(() => {
                acknowledged.push(text)
                return Queue.offer(acknowledgements, undefined)
              }),
              Effect.catchIf(
                (error) => error.cause instanceof ConnectionLost,
                () => {
                  lost.add(text)
                  return enter(entry, attempt + 1)
                }
              )
            )
          }
          let entries = 0
          const load = yield* Effect.fork(
            Effect.all(
              Array.from({ length: 20 }, () =>
                Effect.whileLoop({
                  while: () => !isDone,
                  body: () => enter(entries++, 1),
                  step: () => {}
                })
              ),
              { concurrency: "unbounded" }
            )
          )

          for (let kill = 0; kill < 2; kill++) {
            yield* Effect.repeatN(Queue.take(acknowledgements), 100)
            yield* server.signal("SIGKILL")
            yield* server.exited
            server = yield* serve({ ...options, port: server.port })
            yield* Queue.takeAll(acknowledgements)
          }
          yield* Effect.repeatN(Queue.take(acknowledgements), 100)
          isDone = true
          yield* Fiber.join(load)

          const made = readFileSync(file, "utf8").trimEnd().split("\n")
          expect(lost.size).toBeGreaterThan(0)
          expect(new Set(acknowledged.map((text) => text.split(" ")[0])).size).toBe(entries)
          expect(acknowledged.filter((text) => !made.includes(text))).toEqual([])
          expect(new Set(made).size).toBe(made.length)
          expect(made.filter((text) => !acknowledged.includes(text) && !lost.has(text))).toEqual([])
        })
    )
  }

  it.scopedLive("is killed, which ends its streams", () =>
    Effect.gen(function* () {
      const server = yield* serve({})
      const client = yield* connectTo(server.port)
      const ticks: Array<number> = []
      const end = yield* client.Ticks().pipe(
        Stream.tap((tick) => {
          ticks.push(tick)
          return tick === 3 ? server.signal("SIGKILL") : Effect.void
        }),
        Stream.runDrain,
        causeOf
      )
      expect(end).toBeInstanceOf(ConnectionLost)
      expect(ticks).toEqual([1, 2, 3])
    })
  )

  for (const transport of ["tcp", "websocket"] as const) {
    it.scopedLive(`is paused for longer than the heartbeat waits, and goes on (${transport})`, () =>
      Effect.gen(function* () {
        const server = yield* serve({ transport })
        const heartbeat = RpcConnection.heartbeat({ interval: "50 millis", timeout: "2 seconds" })
        const client = yield* connectTo(server.port, { transport, heartbeat })
        const call = yield* Effect.fork(causeOf(client.Never()))
        expect(yield* server.line).toBe("never")
        yield* server.signal("SIGSTOP")
        expect(yield* Fiber.join(call)).toMatchObject({ _tag: "ConnectionLost", cause: expect.any(HeartbeatTimeout) })
        const later = yield* Effect.fork(client.Enter({ entry: "later" }))
        yield* server.signal("SIGCONT")
        yield* Fiber.join(later)
      })
    )

    it.scopedLive(`is stopped cleanly, and started again (${transport})`, () =>
      Effect.gen(function* () {
        const server = yield* serve({ transport })
        const client = yield* connectTo(server.port, { transport })
        const call = yield* Effect.fork(causeOf(client.Never()))
        expect(yield* server.line).toBe("never")
        yield* server.signal("SIGTERM")
        // It interrupts its calls, and may get to say so.
        expect(yield* Fiber.join(call)).toMatchObject({
          _tag: expect.stringMatching(/^(CallInterrupted|ConnectionLost)$/)
        })
        yield* server.exited
        const later = yield* Effect.fork(
          Effect.retry(client.Enter({ entry: "later" }), { while: ({ cause }) => cause instanceof ConnectionLost })
        )
        yield* serve({ port: server.port, transport })
        yield* Fiber.join(later)
      })
    )
  }
})
