import type * as Net from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Data, Effect, Exit, Logger, LogLevel, Queue, Stream } from "effect"
import { ClientService, RetryPolicy, type Transport } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import * as serverProcess from "test-servers/serverProcess"
import { peers } from "../support/peers.js"
import { listen } from "../support/server.js"
import { connectOnce, stateOf } from "../support/service.js"
import { turns } from "../support/turns.js"
import * as WebSocketServer from "../support/webSocketServer.js"

class Refused extends Data.TaggedError("Refused")<{ readonly line: string }> {}

const linesOf = ({ incoming }: Transport.Transport) => incoming.pipe(Stream.decodeText(), Stream.splitLines)

for (const [name, makePeer] of Object.entries(peers)) {
  describe(`what was received over ${name} before the loss is the application's`, () => {
    // Kind 1
    it.scopedLive("a consumer of a stream that is slow gets all that came before the end", () =>
      Effect.gen(function* () {
        const messages = Array.from({ length: 200 }, (_, i) => `${i}`)
        let connections = 0
        const endpoint = yield* makePeer((peer) => {
          connections += 1
          if (connections > 1) return
          for (const message of messages) peer.send(`${message}\n`)
          peer.end()
        })
        const service = yield* ClientService.make({ endpoint })
        yield* service.start
        const seen = yield* ClientService.stream(service, linesOf, { gap: () => "gap" }).pipe(
          Stream.tap(() => turns(2)),
          Stream.takeUntil((line) => line === "gap"),
          Stream.runCollect
        )
        expect(Chunk.toReadonlyArray(seen)).toEqual([...messages, "gap"])
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )

    // Kind 1
    it.scopedLive("prepare that takes its time to refuse says why, and the policy ends on that", () =>
      Effect.gen(function* () {
        let attempts = 0
        const endpoint = yield* makePeer((peer) => {
          attempts += 1
          peer.send("auth_invalid\n")
          peer.end()
        })
        for (const begins of [0, 20]) {
          const before = attempts
          const service = yield* ClientService.make({
            endpoint,
            prepare: (transport) =>
              turns(begins).pipe(
                Effect.zipRight(Stream.runHead(linesOf(transport))),
                Effect.flatten,
                Effect.tap(() => turns(20)),
                Effect.flatMap((line) => new Refused({ line }))
              ),
            retryPolicy: RetryPolicy.fromFunction(() => 1).pipe(
              RetryPolicy.whileError((error: unknown) => !(error instanceof Refused))
            )
          })
          yield* service.start
          const { cause } = yield* Effect.flip(service.whenConnected()).pipe(
            Effect.filterOrDieMessage((error) => error._tag === "RetriesExhausted", "not exhausted")
          )
          expect([attempts - before, String(cause)]).toEqual([1, expect.stringContaining("Refused")])
        }
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )

    // Kind 1
    it.scopedLive("where nobody reads, the loss is known at the end, though there are unread bytes", () =>
      Effect.gen(function* () {
        const endpoint = yield* makePeer((peer) => {
          peer.send("unread\n")
          peer.end()
        })
        const service = yield* ClientService.make({ endpoint })
        yield* service.start
        expect(yield* stateOf(service, "Waiting")).toMatchObject({ failures: 1 })
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )

    // Kind 1
    it.scopedLive("callers that ask again without a pause do not keep the loss from the service", () =>
      Effect.gen(function* () {
        let connections = 0
        const endpoint = yield* makePeer((peer) => {
          connections += 1
          if (connections === 1) peer.end()
          else peer.send("hello\n")
        })
        const service = yield* ClientService.make({ endpoint, retryPolicy: RetryPolicy.fromFunction(() => 1) })
        yield* service.start
        let asked = 0
        const line = yield* service
          .use((transport) => {
            asked += 1
            return Effect.flatten(Stream.runHead(linesOf(transport)))
          })
          .pipe(Effect.retry({ while: () => true }))
        expect(line).toBe("hello")
        // A step of the scheduler is some fifty of them.
        expect(asked).toBeLessThan(10_000)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )
  })
}

const host = "127.0.0.1"

/** What comes to the reader of what the peer has sent before its end, when it looks after writes that fail by that. */
const rest = (transport: Transport.Transport, end: () => void) =>
  Effect.gen(function* () {
    const text: Array<string> = []
    // In one turn, so that the event loop does not look at the socket in between.
    end()
    for (let i = 0; i < 3; i++) yield* Effect.ignore(transport.write("more"))
    const exit = yield* Effect.exit(
      Stream.runForEach(Stream.decodeText(transport.incoming), (more) => Effect.sync(() => text.push(more)))
    )
    return [text.join(""), Exit.isSuccess(exit)]
  })

for (const [how, isClean, close] of [
  ["closes", true, (socket: Net.Socket) => socket.destroy()],
  ["resets", false, (socket: Net.Socket) => socket.resetAndDestroy()]
] as const) {
  // Kind 1
  it.scopedLive(`what a peer says before it ${how} is the reader's, though a write has failed by that`, () =>
    Effect.gen(function* () {
      const { accepted, port } = yield* listen()
      const transport = yield* connectOnce(NodeEndpoint.tcp({ host, port }))
      const socket = yield* Queue.take(accepted)
      const end = () => {
        socket.write("goodbye")
        close(socket)
      }
      expect(yield* rest(transport, end)).toEqual(["goodbye", isClean])

      const server = yield* WebSocketServer.listen()
      const webSocket = yield* connectOnce(NodeEndpoint.webSocket(`ws://${host}:${server.port}`))
      const served = yield* Queue.take(server.accepted)
      const endWebSocket = () => {
        served.webSocket.send("goodbye")
        close(served.request.socket)
      }
      expect(yield* rest(webSocket, endWebSocket)).toEqual(["goodbye", false])
    })
  )
}

// Kind 1
it.scopedLive("so is what one of a Unix socket says", () =>
  Effect.gen(function* () {
    const path = join(yield* serverProcess.temporaryDirectory, "socket")
    const { accepted } = yield* listen(() => {}, { path })
    const transport = yield* connectOnce(NodeEndpoint.unix({ path }))
    const socket = yield* Queue.take(accepted)
    const end = () => {
      socket.write("goodbye")
      socket.destroy()
    }
    expect(yield* rest(transport, end)).toEqual(["goodbye", true])
  })
)
