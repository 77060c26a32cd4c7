import { randomBytes } from "node:crypto"
import type * as Net from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, type Duration, Effect, Logger, LogLevel, Option, Queue, Stream } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { eventOf, listen } from "./support/server.js"
import { startService, stateOf } from "./support/service.js"
import { until } from "./support/turns.js"
import { nothingUncaught } from "./support/uncaught.js"
import * as Words from "./support/words.js"

const host = "127.0.0.1"

/** Writes the same for as long as the connection takes it. */
const flood = (chunk: Buffer) => (socket: Net.Socket) => {
  const send = () => {
    while (socket.writable && socket.write(chunk)) {}
  }
  socket.on("drain", send)
  send()
}

const drip = (socket: Net.Socket) => {
  const timer = setInterval(() => socket.write("x"), 1)
  socket.on("close", () => clearInterval(timer))
}

class NotUnderstood extends Data.TaggedError("NotUnderstood") {}

/**
 * How the first attempt fails at a server that is hostile to it. The server answers later ones, which have to find a
 * service that works as ever.
 */
const failureBy = (hostile: (socket: Net.Socket) => void, connectTimeout?: Duration.DurationInput) =>
  Effect.gen(function* () {
    yield* nothingUncaught
    let isHostile = true
    const { accepted, port } = yield* listen((socket) => (isHostile ? hostile(socket) : Words.answer(socket)))
    const service = yield* ClientService.make({
      endpoint: NodeEndpoint.tcp({ host, port, linger: 50 }),
      protocol: Words.make,
      prepare: (words) =>
        Effect.filterOrFail(
          words.ask("hello"),
          (reply) => reply === "answer to hello",
          () => new NotUnderstood()
        ),
      retryPolicy: RetryPolicy.fromFunction(() => 20),
      connectTimeout
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    const failing = yield* Effect.fork(
      service.state.changes.pipe(
        Stream.filterMap((state) => (state._tag === "Waiting" ? Option.some(state.cause) : Option.none())),
        Stream.runHead
      )
    )
    yield* service.start
    const cause = Option.getOrThrow(yield* failing)
    isHostile = false
    expect(yield* service.use((words) => words.ask("question"))).toBe("answer to question")
    // The hostile peer has lost its connection.
    const victim = yield* Queue.take(accepted)
    yield* until(() => victim.destroyed)
    return Option.getOrThrow(Cause.failureOption(cause))
  })

describe("a service gets over a peer", () => {
  it.scopedLive("that sends a line without end", () =>
    Effect.gen(function* () {
      const failure = yield* failureBy(flood(Buffer.alloc(100_000, "x")))
      expect(failure).toBeInstanceOf(Words.LineTooLong)
    })
  )

  it.scopedLive("that sends a byte at a time, and no end of the line", () =>
    Effect.gen(function* () {
      expect(yield* failureBy(drip, 100)).toMatchObject({ _tag: "ConnectTimeout" })
    })
  )

  it.scopedLive("that takes everything and sends nothing", () =>
    Effect.gen(function* () {
      expect(yield* failureBy((socket) => void socket.resume(), 100)).toMatchObject({ _tag: "ConnectTimeout" })
    })
  )

  it.scopedLive("that sends garbage", () =>
    Effect.gen(function* () {
      const garbage = (socket: Net.Socket) =>
        socket.resume().write(Buffer.concat([randomBytes(100_000), Buffer.from("\n")]))
      expect(["NotUnderstood", "LineTooLong"]).toContain((yield* failureBy(garbage))._tag)
    })
  )

  it.scopedLive("that answers what nobody asked, without end", () =>
    Effect.gen(function* () {
      expect(yield* failureBy(flood(Buffer.from("answer to nobody\n".repeat(5000))))).toBeInstanceOf(NotUnderstood)
    })
  )
})

describe("a flood that nobody reads", () => {
  it.scopedLive("does not hold up a stop", () =>
    Effect.gen(function* () {
      const { accepted, port } = yield* listen(flood(Buffer.alloc(1024 * 1024)))
      const service = yield* startService(NodeEndpoint.tcp({ host, port, linger: 50 }), { closeTimeout: "1 hour" })
      yield* service.whenConnected()
      const peer = yield* Queue.take(accepted)
      const closed = yield* Effect.fork(eventOf(peer, "close"))
      yield* service.stop
      yield* stateOf(service, "Stopped")
      yield* closed
    })
  )
})
