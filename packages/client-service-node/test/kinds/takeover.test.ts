import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, Queue, Stream } from "effect"
import { ClientService, RetryPolicy, type Transport } from "effect-client-service"
import { type Peer, peersOfSockets } from "../support/peers.js"
import { turn, until } from "../support/turns.js"

const switches = 3

/** When a server that permits one session at a time ends the old one, seen from the login of the new one. */
const moments = [
  "when it connects",
  "before it answers, which is noticed",
  "with its answer",
  "after its answer"
] as const

/** Reads on and on, so that an end is known when it comes. */
const reading = ({ incoming, write }: Transport.Transport) =>
  Effect.gen(function* () {
    const answers = yield* Queue.unbounded<Uint8Array>()
    yield* Effect.forkScoped(Stream.runForEach(incoming, (answer) => Queue.offer(answers, answer)))
    return { answers, write }
  })

for (const [name, makePeer] of Object.entries(peersOfSockets)) {
  describe(`maxAge over ${name}, where a server ends the old session when the next one logs in`, () => {
    for (const moment of moments) {
      // Kind 11
      it.scopedLive(`${moment}: there is no time without a connection but the switch, and no failure`, () =>
        Effect.gen(function* () {
          const sessions: Array<Peer> = []
          const states: Array<string> = []
          const generations = new Set<number>()
          const isNoticed = Effect.suspend(() => until(() => states.at(-1) === "Connecting"))
          const serve = (session: Peer) => {
            const old = sessions.at(-1)
            sessions.push(session)
            if (moment === "when it connects") old?.end()
            session.receive(async () => {
              if (moment === "before it answers, which is noticed") {
                old?.end()
                await Effect.runPromise(isNoticed)
              }
              session.send("welcome")
              if (moment === "with its answer") old?.end()
              if (moment === "after its answer") setImmediate(() => old?.end())
            })
          }
          const service = yield* ClientService.make({
            endpoint: yield* makePeer(serve),
            protocol: reading,
            prepare: ({ answers, write }) => Effect.zipRight(write("login"), Queue.take(answers)),
            // What fails is waited for in vain.
            retryPolicy: RetryPolicy.fromFunction(() => "1 hour"),
            maxAge: 10
          })
          yield* service.state.changes.pipe(
            Stream.runForEach((state) =>
              Effect.sync(() => {
                states.push(state._tag)
                if (state._tag === "Connected") generations.add(state.generation)
              })
            ),
            Effect.forkScoped
          )
          yield* service.start
          // Whoever asks meanwhile is given one, and told of no failure.
          yield* service
            .whenConnected({ failAfterFailures: 1 })
            .pipe(Effect.zipRight(turn), Effect.repeat({ until: () => generations.size > switches }))
          const seen = new Set(states.slice(states.indexOf("Connected")))
          expect(seen).not.toContain("Waiting")
          if (moment === "before it answers, which is noticed") expect(seen).toContain("Connecting")
          // None was given up for another. The next may have begun by now.
          expect(sessions.length - Math.max(...generations)).toBeLessThanOrEqual(1)
        }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
      )
    }
  })
}
