import { expect, it } from "vitest"

// All in one file, so that Effect is loaded once for each mutant, and the quickest first, since the first that fails ends
// it. Stryker takes no notice of tests that do not load.
const unloaded: Array<unknown> = []

it("all tests load", () => {
  expect(unloaded).toEqual([])
})

for (const load of [
  () => import("../table.test.js"),
  () => import("../current.test.js"),
  () => import("../RetryPolicy.test.js"),
  () => import("../resiliencePolicies.test.js"),
  () => import("../ClientService.test.js")
]) {
  await load().catch((error: unknown) => unloaded.push(error))
}
