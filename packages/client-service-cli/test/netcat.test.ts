import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run, runHere, runToEnd } from "./support/keepalive.js"
import { closedPort, echo, faulty, flood, listening } from "./support/server.js"

describe("standard input and output", () => {
  it.scopedLive("are carried by lines, and on after the server was away, until Ctrl-C", () =>
    Effect.gen(function* () {
      const server = yield* faulty(echo)
      const program = yield* run([server.address, "--max-delay", "100ms"])
      program.stdin.write("one\n")
      yield* program.stdout.until("one\n")

      yield* server.shut
      yield* program.stderr.until("Waiting")
      program.stdin.write("two\nthree\n")
      yield* program.stderr.until("attempt 3")
      yield* server.heal
      yield* program.stdout.until("three\n")

      yield* program.signal("SIGINT")
      expect(yield* program.ended).toBe(130)
      expect(program.stdout.text()).toBe("one\ntwo\nthree\n")
      expect(program.stderr.text()).toMatch(/Disconnecting\n.*Stopped\n$/)
    })
  )

  it.scopedLive("end at once at a second signal, though the peer does not close", () =>
    Effect.gen(function* () {
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => void socket.resume())
      const program = yield* run([`tcp://127.0.0.1:${port}`, "--no-input", "--json"])
      yield* program.stderr.until("connected")
      yield* program.signal("SIGTERM")
      yield* program.stderr.until("disconnecting")
      yield* program.signal("SIGTERM")
      expect(yield* program.ended).toBe("SIGTERM")
    })
  )

  it.scopedLive("carry all bytes as they are over a Unix socket, and exit with 0 at the end of both", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "keepalive-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const path = join(folder, "a socket")
      yield* listening({ path }, echo)
      const bytes = randomBytes(2_000_000)
      const program = yield* run([`unix:${path}`])
      program.stdin.end(bytes)
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.bytes().equals(bytes)).toBe(true)
    })
  )

  it.scopedLive("end quietly when nobody reads the output any more", () =>
    Effect.gen(function* () {
      const server = yield* faulty(echo)
      const program = yield* run([server.address, "--json"])
      program.stdout.stream.destroy()
      yield* program.stderr.until("connected")
      program.stdin.write("ping\n")
      expect(yield* program.ended).toBe(0)
      expect(program.stderr.text()).not.toContain("EPIPE")
      expect(program.stderr.text()).toMatch(/"event":"exit","code":0}\n$/)
    })
  )

  it.scopedLive("hold back who writes while there is no connection, and a peer while nobody reads", () =>
    Effect.gen(function* () {
      const away = yield* run([`tcp://127.0.0.1:${yield* closedPort}`, "--max-delay", "50ms"])
      away.stdin.write("x\n".repeat(4_000_000))
      yield* away.stderr.until("attempt 5")
      expect(away.stdin.writableLength).toBeGreaterThan(0)

      const server = yield* flood
      const slow = yield* run([`tcp://127.0.0.1:${server.port}`, "--no-input"])
      slow.stdout.stream.pause()
      expect(yield* server.heldBack).toBeLessThan(100_000_000)
    })
  )

  it.scopedLive("tell of the connection in JSON", () =>
    Effect.gen(function* () {
      const server = yield* faulty(echo)
      const program = yield* runHere([server.address, "--json", "--max-delay", "10ms", "--name", "mine"])
      yield* program.stderr.until('"connected"')
      yield* server.shut
      yield* program.stderr.until('"attempt":2')
      yield* server.heal
      yield* program.stderr.until('"connected"', 2)
      program.stdin.end("last")
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.text()).toBe("last")

      const events = program.stderr.events()
      for (const { time } of events) expect(new Date(String(time)).toISOString()).toBe(time)
      expect(events[0]).toEqual({
        time: expect.any(String),
        event: "started",
        service: "mine",
        address: server.address
      })
      const of = (event: string) =>
        events.filter((one) => one["event"] === event).map(({ event: _event, time: _time, ...fields }) => fields)
      expect(of("connecting")[0]).toEqual({ service: "mine", attempt: 1, failures: 0 })
      expect(of("connected")).toEqual([
        { service: "mine", generation: 1 },
        { service: "mine", generation: 2 }
      ])
      expect(of("waiting")[0]).toEqual({
        service: "mine",
        failures: 1,
        delayMillis: expect.any(Number),
        retryAt: expect.stringMatching(/^\d{4}-.*Z$/),
        error: { tag: "ConnectError", message: "reset by the peer", reason: "Reset", code: "ECONNRESET" }
      })
      expect(events.slice(-2).map(({ event }) => event)).toEqual(["stopped", "exit"])
      expect(of("exit")).toEqual([{ code: 0 }])
    })
  )

  it.live("give up after so many failures in a row, with exit code 1", () =>
    Effect.gen(function* () {
      const address = `tcp://127.0.0.1:${yield* closedPort}`
      const { code, stderr } = yield* runToEnd([address, "--give-up-after", "2", "--max-delay", "10ms"])
      expect(code).toBe(1)
      expect(stderr.match(/attempt \d/g)).toEqual(["attempt 1", "attempt 2"])
      expect(stderr).toMatch(/\nkeepalive: tcp:\S+: gave up after 2 failures in a row, the last: refused\n$/)
    })
  )

  it.scopedLive("are tried again when nothing has come for --idle-timeout", () =>
    Effect.gen(function* () {
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => void socket.resume())
      const program = yield* runHere([
        `tcp://127.0.0.1:${port}`,
        "--no-input",
        "--idle-timeout",
        "50ms",
        "--give-up-after",
        "1"
      ])
      expect(yield* program.ended).toBe(1)
      expect(program.stderr.text()).toContain("the last: silent for 0.05 s\n")
    })
  )
})
