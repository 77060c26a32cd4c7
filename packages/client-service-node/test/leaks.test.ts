import { existsSync, readdirSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { Effect, Stream, Supervisor } from "effect"
import { RetryPolicy } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { clientSockets, listen, listeners, openSockets } from "./support/server.js"
import { startService } from "./support/service.js"
import { turn } from "./support/turns.js"

const descriptors = "/proc/self/fd"

/** The sockets among the file descriptors, where the system tells. */
const openDescriptors = () =>
  existsSync(descriptors) ? readdirSync(descriptors).filter((name) => kindOf(name).startsWith("socket:")).length : 0

// The one by which the directory is read is among them, and gone by now.
const kindOf = (name: string) => {
  try {
    return readlinkSync(join(descriptors, name))
  } catch {
    return ""
  }
}

it.scopedLive(
  "2,000 reconnects over TCP leave no fiber, socket, listener or file descriptor behind",
  () =>
    Effect.gen(function* () {
      const sockets = yield* clientSockets
      const supervisor = yield* Supervisor.track
      let served = 0
      const { port } = yield* listen((socket) => {
        served += 1
        socket.on("data", () => socket.end())
        socket.on("close", () => {
          served -= 1
        })
      })
      const service = yield* Effect.supervised(
        startService(NodeEndpoint.tcp({ host: "127.0.0.1", port }), { retryPolicy: RetryPolicy.fromFunction(() => 0) }),
        supervisor
      )

      /** Has the server end so many connections, one after the other, and lets the next one live. */
      const reconnect = (times: number) =>
        service.connections.pipe(
          Stream.take(times + 1),
          Stream.zipWithIndex,
          Stream.runForEach(([transport, index]) =>
            index < times ? Effect.ignore(transport.write("bye")) : Effect.void
          )
        )

      const counts = Effect.gen(function* () {
        // The server closes its side when it pleases.
        do yield* Effect.repeatN(turn, 2)
        while (served !== 1)
        const fibers = yield* supervisor.value
        const socket = sockets.at(-1)
        return {
          fibers: fibers.length,
          sockets: openSockets(),
          descriptors: openDescriptors(),
          listeners: socket === undefined ? {} : listeners(socket),
          processListeners: process.eventNames().map((name) => [name, process.listenerCount(name)])
        }
      })

      yield* reconnect(1)
      const before = yield* counts
      for (let part = 0; part < 20; part += 1) {
        yield* reconnect(100)
        expect(yield* counts).toEqual(before)
      }
      expect(before.fibers).toBe(0)
      expect(sockets.length).toBe(2002)
    }),
  120_000
)
