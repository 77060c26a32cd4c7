import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "../support/child.js"
import { groupGone, inGroup } from "../support/processes.js"

const ends = [
  ["exit", undefined],
  ["throw", undefined],
  ["wait", "SIGTERM"],
  ["wait", "SIGKILL"]
] as const

describe("a process", () => {
  // Kind 15
  it.scopedLive("does not outlive the program that has started it, whatever ends that", () =>
    Effect.forEach(
      ends,
      ([end, signal]) =>
        Effect.gen(function* () {
          const owner = yield* run("owner.ts", [end])
          const group = Number(yield* owner.line("group"))
          if (signal !== undefined) {
            expect(inGroup(group).length).toBeGreaterThan(1)
            yield* owner.signal(signal)
          }
          expect(yield* owner.exited).toMatchObject({ signal: signal ?? null })
          yield* groupGone(group)
        }),
      { concurrency: "unbounded", discard: true }
    )
  )
})
