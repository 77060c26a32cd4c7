import { setImmediate } from "node:timers/promises"
import { expect, it } from "vitest"
import { play } from "./play.js"
import { sequences } from "./sequences.js"

// `npm run test:exhaustive` tries those of seven.
it("a service is as the model after every sequence of five events", { timeout: 120_000 }, async () => {
  for (const sequence of sequences(5)) {
    expect(play(sequence)).toBeUndefined()
    // For Vitest, which gives up a worker that does not answer.
    await setImmediate()
  }
})
