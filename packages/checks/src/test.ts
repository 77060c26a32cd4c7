// The whole test, as `npm test` runs it. Every step runs, whatever failed before it; the tests proper come last, so that
// their summary and the totals are what remains on the screen.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as everything from "test-servers/everything"
import { checkDocumentation } from "./documentation.js"
import { checkPackages } from "./packages.js"
import * as Report from "./Report.js"
import { checkReliability, failureTests, type MarkedTest } from "./reliability.js"
import { checkSources } from "./sources.js"
import { none, root, run, temporaryDirectory } from "./workspace.js"

const report = Report.make()
await report.check("the servers and the browser of the tests are here", async () => {
  const installed = await everything.install()
  if (!installed.isInstalled) console.log(`      ${installed.reason}, so the tests of what is missing are skipped`)
})
await report.check("types", async () => void (await run("npm", ["run", "--silent", "types"], root)))
await report.check("lint and format", async () => void (await run("npm", ["run", "--silent", "lint"], root)))
await Promise.all([checkSources, checkDocumentation, checkReliability, checkPackages].map((check) => check(report)))
await runTests()
report.finish()

async function runTests(): Promise<void> {
  const file = join(temporaryDirectory(), "results.json")
  // More than there are processors, since many tests wait for servers and for other programs.
  const workers = Math.ceil(1.5 * availableParallelism())
  const { status } = spawnSync(
    join(root, "node_modules/.bin/vitest"),
    ["run", `--maxWorkers=${workers}`, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"] }
  )
  const results: VitestResults | undefined = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
  const unloaded = results?.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0)
  const failed = (results?.numFailedTests ?? 0) + (unloaded?.length ?? 0)
  report.add({
    passed: results?.numPassedTests ?? 0,
    failed,
    skipped: (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0)
  })
  const { default: projects }: Workspace = await import(pathToFileURL(join(root, "vitest.workspace.ts")).href)
  const problems = [
    ...(status !== 0 && failed === 0 ? [`vitest ended with ${status}, though no test failed`] : []),
    ...projects
      .filter((project) => !results?.testResults.some((file) => isPassedIn(join(root, project), file)))
      .map((project) => `not one test of ${project} passed`),
    ...failureTests()
      .filter((test) => !results?.testResults.some((file) => hasRun(test, file)))
      .map(({ title }) => `the test of a failure was not run: ${title}`)
  ]
  // Said only when it is so: the last words are those of the tests.
  if (problems.length > 0) await report.check("every project has tests", () => none(problems))
}

function isPassedIn(directory: string, file: TestFile): boolean {
  return file.name.startsWith(`${directory}/`) && file.assertionResults.some(({ status }) => status === "passed")
}

function hasRun({ file, title }: MarkedTest, { assertionResults, name }: TestFile): boolean {
  return name === file && assertionResults.some((test) => test.title === title && /^(passed|failed)$/.test(test.status))
}

interface Workspace {
  readonly default: ReadonlyArray<string>
}

interface VitestResults {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: ReadonlyArray<TestFile>
}

interface TestFile {
  readonly name: string
  readonly status: string
  readonly assertionResults: ReadonlyArray<{ readonly title: string; readonly status: string }>
}
