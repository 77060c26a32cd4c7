import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./support/keepalive.js"

describe("the tour", () => {
  it.scopedLive("runs to its end, and shows every state and every waiter", () =>
    Effect.gen(function* () {
      const program = yield* run(["--tour", "--speed", "8"])
      expect(yield* program.ended).toBe(0)
      expect(program.stderr.text()).toBe("")
      const shown = program.stdout.text()
      expect(shown).not.toContain("\u001b")
      expect(Math.max(...shown.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80)

      const states = [...shown.matchAll(/^ +[\d.]+ s {2}\S (\w+)/gm)].map(([, state]) => state)
      const first = ["Connecting", "Waiting", "Connecting", "Waiting", "Connecting", "Waiting"]
      expect(states.slice(0, 6)).toEqual(first)
      expect(new Set(states)).toEqual(new Set(["Connecting", "Waiting", "Connected", "Disconnecting", "Stopped"]))
      expect(states.at(-1)).toBe("Stopped")

      const waiters = [...shown.matchAll(/^ +([✓✗] .*)$/gm)].map(([, waiter]) => waiter)
      expect(waiters).toEqual([
        "✗ whenConnected({ failAfterFailures: 2 }) fails: refused",
        "✓ whenConnected() has the connection",
        "✓ use(PING) gets +PONG",
        "✗ use(REPORT) fails: connection lost",
        "✓ whenConnected() has the connection",
        "✓ use(PING) gets +PONG",
        "✗ use(REPORT) fails: connection lost",
        "✗ whenConnected() fails: the service is stopped"
      ])
      expect(shown).toContain("rejected: too many users")

      const count = (state: string) => states.filter((s) => s === state).length
      const summary = (name: string) => Number(new RegExp(`^ +${name} +(\\d+)`, "m").exec(shown)?.[1])
      expect(summary("attempts")).toBe(count("Connecting"))
      expect(summary("connections")).toBe(count("Connected"))
      expect(summary("failures")).toBe(count("Waiting"))
      const lost = states.filter((state, i) => state === "Waiting" && states[i - 1] === "Connected").length
      expect(shown).toContain(`${count("Waiting") - lost} attempts failed, ${lost} connections lost`)
      expect(summary("waiters")).toBe(waiters.length)
      expect(shown).toContain("of 8 resolved: 4 succeeded, 4 failed")
    })
  )

  it.scopedLive("ends quietly when nobody reads any more, and has colours where they are asked for", () =>
    Effect.gen(function* () {
      const program = yield* run(["--tour"], { FORCE_COLOR: "1" })
      yield* program.stdout.until("Waiting")
      expect(program.stdout.text()).toContain("\u001b[33m")
      program.stdout.stream.destroy()
      expect(yield* program.ended).toBe(0)
      expect(program.stderr.text()).toBe("")
    })
  )
})
