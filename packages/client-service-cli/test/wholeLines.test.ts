import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"
import { wholeLines } from "../src/internal/wholeLines.js"

describe("wholeLines", () => {
  const blocks = (...chunks: ReadonlyArray<string>) =>
    wholeLines(Stream.rechunk(Stream.fromIterable(chunks.map((chunk) => Buffer.from(chunk))), 1)).pipe(
      Stream.map((block) => Buffer.from(block).toString()),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray)
    )

  it.effect("ends blocks where lines end", () =>
    Effect.gen(function* () {
      expect(yield* blocks("a", "b\nc\nd", "e\n", "f")).toEqual(["ab\nc\n", "de\n", "f"])
      expect(yield* blocks("a\n", "b\n")).toEqual(["a\n", "b\n"])
      expect(yield* blocks()).toEqual([])
    })
  )

  it.effect("keeps no line of more than 64 KiB", () =>
    Effect.gen(function* () {
      const part = "x".repeat(40_000)
      expect(yield* blocks(part, part, `${part}\n`)).toEqual([part + part, `${part}\n`])
    })
  )
})
