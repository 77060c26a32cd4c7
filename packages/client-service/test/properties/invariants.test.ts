import { expect, it } from "vitest"
import { problemOf } from "./history.js"

// The same ones every time. `npm run test:deep` tries others.
const histories = 1000

it("all invariants hold at every step of any history", { timeout: 600_000 }, () => {
  for (let seed = 1; seed <= histories; seed++) expect(problemOf(seed)).toBeUndefined()
})
