import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run, runToEnd } from "./support/keepalive.js"
import { client, closedPort, echo, faulty, listening } from "./support/server.js"

describe("the page", () => {
  it.scopedLive("shows the connection of each client, tells health checks, and keeps the process from nothing", () =>
    Effect.gen(function* () {
      const server = yield* faulty(echo)
      const program = yield* run([server.address, "--listen", "0", "--page", "0", "--json", "--name", "mine"])
      yield* program.stderr.until("listening")
      const url = /"event":"page","url":"([^"]+)"/.exec(program.stderr.text())?.[1] ?? ""
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
      const port = Number(/"event":"listening".*"port":(\d+)/.exec(program.stderr.text())?.[1])
      const get = (path: string) => Effect.promise(() => fetch(new URL(path, url)))
      const textOf = (path: string) => Effect.flatMap(get(path), (response) => Effect.promise(() => response.text()))

      expect(yield* textOf("/")).toMatch(/^<!doctype html>/i)
      expect((yield* get("/health/ready")).status).toBe(200)
      expect((yield* get("/health/none")).status).toBe(404)

      const { socket, until } = yield* client(port)
      socket.write("x")
      yield* until("x")
      expect(JSON.parse(yield* textOf("/health/ready"))).toMatchObject({
        status: "UP",
        checks: [{ name: "mine #1", data: { state: "Connected" } }]
      })

      // A page that is open follows for as long as the process is there.
      const { body } = yield* get("/events")
      const reader = body?.getReader()
      yield* Effect.promise(async () => {
        for (let told = ""; !told.includes("mine"); ) {
          const next = await reader?.read()
          if (next?.done !== false) throw new Error(`it ends: ${told}`)
          told += new TextDecoder().decode(next.value)
        }
      })
      const stop = yield* Effect.promise(() => fetch(new URL("/none/stop", url), { method: "POST" }))
      expect(stop.status).toBe(403)

      yield* program.signal("SIGTERM")
      expect(yield* program.ended).toBe(143)
      yield* Effect.promise(async () => {
        while ((await reader?.read())?.done === false) {}
      })
    })
  )

  it.scopedLive("needs a port that is free", () =>
    Effect.gen(function* () {
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, () => {})
      const { code, stderr } = yield* runToEnd([`tcp://127.0.0.1:${yield* closedPort}`, "--page", String(port)])
      expect(code).toBe(2)
      expect(stderr).toContain(`keepalive: cannot listen on 127.0.0.1, port ${port} (EADDRINUSE)\n`)
    })
  )
})
