// The whole test, as `npm test` runs it. Every step runs, whatever failed before it; the tests proper come last, so that
// their summary and the totals are what remains on the screen.
import * as everything from "test-servers/everything"
import { checkDocumentation } from "./documentation.js"
import { checkPackages } from "./packages.js"
import * as Report from "./Report.js"
import { checkReliability } from "./reliability.js"
import { checkSources } from "./sources.js"
import { runTests } from "./vitest.js"
import { checkWebsite } from "./website.js"
import { root, run } from "./workspace.js"

const report = Report.make()
await report.check("the servers and the browser of the tests are here", async () => {
  const installed = await everything.install()
  if (!installed.isInstalled) console.log(`      ${installed.reason}, so the tests of what is missing are skipped`)
})
// The types take one processor for longer than what needs nothing compiled takes another.
await Promise.all([
  report.check("types", async () => void (await run("npm", ["run", "--silent", "types"], root))),
  report.check("lint and format", async () => void (await run("npm", ["run", "--silent", "lint"], root))),
  ...[checkSources, checkDocumentation, checkReliability].map((check) => check(report))
])
await Promise.all([checkPackages, checkWebsite].map((check) => check(report)))
await runTests(report)
report.finish()
