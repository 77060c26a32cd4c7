import { expect, it } from "vitest"
import { play } from "./play.js"
import { sequences } from "./sequences.js"

// `npm run test:exhaustive` tries those of seven.
it("a service is as the model after every sequence of five events", { timeout: 120_000 }, () => {
  for (const sequence of sequences(5)) expect(play(sequence)).toBeUndefined()
})
