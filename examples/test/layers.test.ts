import * as http from "node:http"
import { describe, expect, it } from "@effect/vitest"
import { Array, Deferred, Effect, Fiber } from "effect"
import * as LineServer from "../support/lineServer.js"
import { run } from "./program.js"
import type { Wiring } from "./wirings.js"

const requests = 100

/** Ends the program by SIGTERM while requests wait for the backend, which answers after that. Gives what they are answered. */
const terminate = (file: string, args: ReadonlyArray<string>, agent: http.Agent) =>
  Effect.gen(function* () {
    const questions: Array<LineServer.Peer> = []
    const haveAllAsked = yield* Deferred.make<void>()
    const backend = yield* LineServer.make((_, peer) => {
      if (questions.push(peer) === requests) Deferred.unsafeDone(haveAllAsked, Effect.void)
    })
    const program = yield* run(file, args, { BACKEND_PORT: String(backend.port), PORT: "0" })
    yield* program.stdout.until("Listening on http://127.0.0.1:")
    const port = Number(/Listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(program.stdout.text())?.[1])

    const answers = yield* Effect.fork(
      Effect.all(
        Array.makeBy(requests, () => get(port, agent)),
        { concurrency: "unbounded" }
      )
    )
    yield* Deferred.await(haveAllAsked)
    yield* program.signal("SIGTERM")
    // Long enough for it to close what it should not.
    yield* Effect.sleep("200 millis")
    for (const peer of questions) peer.send("+hello")
    return { answers: yield* Fiber.join(answers), ended: yield* program.ended, stderr: program.stderr.text() }
  })

const get = (port: number, agent: http.Agent) =>
  Effect.async<{ readonly status: number | undefined; readonly connection: string | undefined }>((resume) => {
    http
      .get({ host: "127.0.0.1", port, agent }, (response) => {
        const { headers, statusCode: status } = response
        response.resume().once("end", () => resume(Effect.succeed({ status, connection: headers.connection })))
      })
      .once("error", (error) => resume(Effect.die(error)))
  })

describe("on the order of Layers", () => {
  it.scopedLive("layers.ts answers what it has accepted, and keeps no connection for more", () =>
    Effect.gen(function* () {
      const agent = yield* Effect.acquireRelease(
        Effect.sync(() => new http.Agent({ keepAlive: true })),
        (agent) => Effect.sync(() => agent.destroy())
      )
      expect(yield* terminate("layers.ts", [], agent)).toEqual({
        answers: Array.makeBy(requests, () => ({ status: 200, connection: "close" })),
        ended: 0,
        stderr: ""
      })
    })
  )

  const wirings: ReadonlyArray<Wiring> = [
    "service, then server",
    "merged",
    "service, then server, by provideMerge",
    "server, then service, of an Effect",
    "merged, of an Effect"
  ]
  for (const wiring of wirings) {
    it.scopedLive(`answers what it has accepted when it is wired: ${wiring}`, () =>
      Effect.gen(function* () {
        const { answers, ended } = yield* terminate("test/wirings.ts", [wiring], new http.Agent())
        expect(Array.countBy(answers, ({ status }) => status === 200)).toBe(requests)
        expect(ended).toBe(0)
      })
    )
  }
})
