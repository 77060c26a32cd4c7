// One kind of check alone: `main.ts packages`, `documentation`, `sources`, `reliability` or `website`.
import { checkDocumentation } from "./documentation.js"
import { checkPackages } from "./packages.js"
import * as Report from "./Report.js"
import { checkReliability } from "./reliability.js"
import { checkSources } from "./sources.js"
import { checkWebsite } from "./website.js"

const checks = new Map([
  ["packages", checkPackages],
  ["documentation", checkDocumentation],
  ["sources", checkSources],
  ["reliability", checkReliability],
  ["website", checkWebsite]
])

const report = Report.make()
for (const name of process.argv.slice(2)) {
  const check = checks.get(name)
  if (check === undefined) throw new Error(`No such check: ${name}. There are ${[...checks.keys()].join(", ")}.`)
  await check(report)
}
report.finish()
