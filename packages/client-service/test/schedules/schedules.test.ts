import { setImmediate } from "node:timers/promises"
import { expect, it } from "vitest"
import { explorations } from "./many.js"

// `npm run test:schedules` plays all of them, and more.
const limits = { events: 3, stops: 1, oneIn: 4 }

for (const { name, problems } of explorations) {
  it(`${name}: nothing is wrong in schedules of three events with a fiber stopped at a step`, {
    timeout: 240_000
  }, async () => {
    let played = 0
    for (const problem of problems(limits)) {
      expect(problem).toBeUndefined()
      played += 1
      // For Vitest, which gives up a worker that does not answer.
      if (played % 100 === 0) await setImmediate()
    }
    expect(played).toBeGreaterThan(1000)
  })
}
