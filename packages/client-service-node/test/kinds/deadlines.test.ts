import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, Stream } from "effect"
import { ClientService } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { resolvingTo } from "../support/addresses.js"
import { peersOfSockets } from "../support/peers.js"
import { listen } from "../support/server.js"
import { connectOnce } from "../support/service.js"
import { turns } from "../support/turns.js"

/** Holds the event loop up, as a long computation does. */
const compute = (millis: number) => {
  const end = performance.now() + millis
  while (performance.now() < end) {}
}

// A process has to start, and to run, before anything is in its socket.
for (const [name, makePeer] of Object.entries(peersOfSockets)) {
  describe(`a deadline over ${name} is not judged before the socket was looked at`, () => {
    // Kind 7: An answer is in the socket in time, and counts as none, since the event loop was held up.
    it.scopedLive("an answer to the heartbeat that came while the event loop was held up counts", () =>
      Effect.gen(function* () {
        let answers = 0
        const endpoint = yield* makePeer((peer) => {
          peer.receive(() => {
            answers += 1
            peer.send("pong")
            // Once that is in the socket of the other.
            setImmediate(compute, 200)
          })
        })
        const service = yield* ClientService.make({
          endpoint,
          heartbeat: {
            probe: ({ incoming, write }) => Effect.zipRight(write("ping"), Stream.runHead(incoming)),
            interval: 1,
            timeout: 150
          }
        })
        yield* service.start
        const first = yield* service.whenConnected()
        yield* Effect.repeat(turns(1), { until: () => answers >= 4 })
        expect(yield* service.whenConnected()).toBe(first)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )

    // Kind 7
    it.scopedLive("a greeting that prepare waits for counts, though connectTimeout has passed", () =>
      Effect.gen(function* () {
        const endpoint = yield* makePeer((peer) => {
          peer.receive(() => {
            peer.send("welcome")
            setImmediate(compute, 300)
          })
        })
        const service = yield* ClientService.make({
          endpoint,
          prepare: ({ incoming, write }) => Effect.zipRight(write("hello"), Stream.runHead(incoming)),
          connectTimeout: 250
        })
        yield* service.start
        yield* service.whenConnected({ failAfterFailures: 1 })
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )
  })
}

// Kind 7
it.scopedLive("a look-up that has ended while the event loop was held up counts, though lookupTimeout has passed", () =>
  Effect.gen(function* () {
    const { port } = yield* listen()
    const looking = Effect.scoped(
      connectOnce(NodeEndpoint.tcp({ host: "localhost", port, family: 4, lookupTimeout: 50 }))
    )
    // The system has the answer at once, by a thread of its own.
    setImmediate(compute, 150)
    yield* looking
  })
)

// Kind 7
it.scoped("a look-up that has ended does not wait for its deadline where it can't be interrupted", () =>
  Effect.gen(function* () {
    const { port } = yield* listen()
    yield* resolvingTo("127.0.0.1")
    // On a clock that stands still.
    yield* Effect.uninterruptible(connectOnce(NodeEndpoint.tcp({ host: "peer.example", port })))
  })
)
