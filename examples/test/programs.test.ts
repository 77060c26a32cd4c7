import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./program.js"

describe("examples", () => {
  it.scopedLive("quickstart logs in, asks, and ends", () =>
    Effect.gen(function* () {
      const program = yield* run("quickstart.ts")
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.text()).toContain("INFO (#")
      expect(program.stdout.text()).toMatch(/\n\+PONG\n\+hello\n$/)
      expect(program.stderr.text()).toBe("")
    })
  )

  it.scopedLive("twisted-port starts, asks, stops, and ends", () =>
    Effect.gen(function* () {
      const program = yield* run("twisted-port.ts")
      expect(yield* program.ended).toBe(0)
      const lines = program.stdout
        .text()
        .split("\n")
        .filter((line) => /^(running|\+|stopped)/.test(line))
      expect(lines).toEqual(["running: true", "+PONG", "running: false", "stopped"])
      expect(program.stderr.text()).toBe("")
    })
  )

  it.scopedLive("devtools shows its services, and ends with a page open", () =>
    Effect.gen(function* () {
      const program = yield* run("devtools.ts", [], { PORT: "0" })
      yield* program.stdout.until("Listening on ")
      const [, origin] = /Listening on (http:\S+)"?/.exec(program.stdout.text()) ?? []
      const page = yield* Effect.promise(() => fetch(`${origin}/services`))
      expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"])
      const events = yield* Effect.promise(() => fetch(`${origin}/services/events`))
      yield* program.signal("SIGTERM")
      expect(yield* Effect.promise(() => events.text())).toMatch(/"name":"orders".*"name":"prices"/)
      yield* program.ended
    })
  )

  it.scopedLive("rpc calls, loses its connection, and calls again", () =>
    Effect.gen(function* () {
      const program = yield* run("rpc.ts")
      expect(yield* program.ended).toBe(0)
      const lines = program.stdout
        .text()
        .split("\n")
        .filter((line) => /^(rate|change|lost):/.test(line))
        .map((line) => line.replace(/127\.0\.0\.1:\d+/g, "there"))
      const lost = "lost: tcp://there: the connection was lost: reading from the connection failed: read ECONNRESET"
      expect(lines).toEqual(["rate: 1.25", "change: 1.25", "change: 1.26", "change: 1.27", lost, "rate: 1.25"])
      expect(program.stderr.text()).toBe("")
    })
  )

  it.scopedLive("market-feed goes on after the last trade, when it is dropped and when the market is silent", () =>
    Effect.gen(function* () {
      const program = yield* run("market-feed.ts")
      expect(yield* program.ended).toBe(0)
      const said = program.stdout.text().split("\n")
      const again = "connected again"
      const dropped = ["1 EURUSD", "2 GBPUSD", again]
      const silent = ["3 EURUSD", "4 EURUSD", "5 GBPUSD", again]
      expect(said.filter((line) => /^(\d|connected)/.test(line))).toEqual([
        ...dropped,
        ...silent,
        "6 EURUSD",
        "7 GBPUSD"
      ])
      expect(program.stderr.text()).toBe("")
    })
  )

  for (const [file, lines] of [
    [
      "waiting.ts",
      [
        "impatient: refused",
        "busy: NotConnected",
        "patient: hello",
        "use: 5",
        "usePromise: HELLO",
        "connections: hello"
      ]
    ],
    [
      "policies.ts",
      ["RetriesExhausted: vault: gave up after 1 failure: WrongPassword: the vault does not take this password"]
    ],
    ["resilience.ts", ["1", "2", "3"]],
    [
      "health.ts",
      [
        "/health/ready: 503",
        "/health/live: 200",
        "/greeting: 200",
        "status: failed 1 times, next in 50ms: Error: refused",
        "/health/ready: 200",
        "then: Init, Connecting, Waiting, Connecting, Connected",
        "status: connection number 1",
        "status: Stopped"
      ]
    ],
    ["websocket.ts", ['{"tick":1}', '{"tick":2}', '"missed some"', '{"tick":3}', '{"tick":4}']],
    ["faults.ts", ["+hello", "ConnectionLost"]],
    ["connect-child.ts", ["hello"]],
    ["connect-websocket.ts", ['{"tick":1}', '{"tick":2}']],
    [
      "child-process.ts",
      ["1.25", "process:node: the connection was lost: node: the process ended with exit code 1: out of rates", "1.41"]
    ]
  ] as const) {
    it.scopedLive(`${file} ends, having said what it should`, () =>
      Effect.gen(function* () {
        const program = yield* run(file)
        expect(yield* program.ended).toBe(0)
        const said = program.stdout.text().split("\n")
        expect(lines.filter((line) => !said.includes(line))).toEqual([])
        expect(program.stderr.text()).toBe("")
      })
    )
  }
})
