import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./program.js"

describe("npm start", () => {
  it.scopedLive("is the command keepalive, which shows the tour if it is told nothing, until Ctrl-C", () =>
    Effect.gen(function* () {
      const program = yield* run("demo.ts")
      yield* program.stdout.until("Waiting")
      yield* program.signal("SIGINT")
      expect(yield* program.ended).toBe(130)
      expect(program.stdout.text()).toContain("kept alive by a ClientService")
      expect(program.stderr.text()).toBe("")
    })
  )
})
