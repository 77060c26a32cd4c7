import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { endsByItself, run } from "../support/child.js"
import { closedPort } from "../support/server.js"

describe("the process", () => {
  // Failure 12: A timer keeps the process alive after the client is closed, or the other way: none keeps it alive while
  // the client is retrying.
  // Reported: socketio/socket.io#3236, socketio/socket.io#1446, redis/node-redis#2608, TopGunBuild/topgun#42,
  // openclaw/openclaw#49723
  it.scopedLive("a process stays alive while it waits to connect, and ends within a second of the close", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const client = yield* run("client.ts", [String(port), "--idle"])
      for (let i = 0; i < 5; i++) yield* client.line("state Waiting")
      expect(client.isRunning()).toBe(true)
      yield* endsByItself(client)
    })
  )
})
