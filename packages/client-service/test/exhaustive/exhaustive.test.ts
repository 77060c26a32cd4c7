import { setImmediate } from "node:timers/promises"
import { expect, it } from "vitest"
import { basic, events } from "../support/model.js"
import { play } from "./play.js"
import { sequences } from "./sequences.js"

// `npm run test:exhaustive` tries longer ones.
for (const [what, length, alphabet] of [
  ["five events", 5, basic],
  ["four events, with those of uses and of attempts that linger", 4, events]
] as const) {
  it(`a service is as the model after every sequence of ${what}`, { timeout: 240_000 }, async () => {
    for (const sequence of sequences(length, alphabet)) {
      expect(play(sequence)).toBeUndefined()
      // For Vitest, which gives up a worker that does not answer.
      await setImmediate()
    }
  })
}
