import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { root, run } from "../workspace.js"

/** How many tests passed, failed and were skipped, and the titles of those that failed. */
export interface Tests {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly failures: ReadonlyArray<string>
}

/** Runs the tests of one package by a command that is given the arguments of vitest. */
export const runSuite = async (
  project: string,
  [command, ...args]: readonly [string, ...ReadonlyArray<string>],
  environment: Readonly<Record<string, string>>,
  directory: string
): Promise<Tests> => {
  const runOf = (options: ReadonlyArray<string>) => runOnce(options, [command, ...args], environment, directory)
  // With files of other packages, too.
  const together = await runOf([`--project=${project}`, "--project=sharing", `packages/${project}/`, "--no-isolate"])
  if (!withAlone.has(project)) return together
  const alone = await runOf([`--project=${project}, alone*`])
  return {
    passed: together.passed + alone.passed,
    failed: together.failed + alone.failed,
    skipped: together.skipped + alone.skipped,
    failures: [...together.failures, ...alone.failures]
  }
}

/** The packages of which some files need a process of their own. */
const withAlone: ReadonlySet<string> = new Set(["client-service"])

const runOnce = async (
  options: ReadonlyArray<string>,
  [command, ...args]: readonly [string, ...ReadonlyArray<string>],
  environment: Readonly<Record<string, string>>,
  directory: string
): Promise<Tests> => {
  const file = join(directory, "results.json")
  // Not that of a run before.
  rmSync(file, { force: true })
  const all = ["run", ...options, "--maxWorkers=1", "--reporter=json", `--outputFile.json=${file}`]
  const said = await run(command, [...args, ...all], root, {
    timeoutMillis: 1_500_000,
    environment
  }).catch((error: Error) => error.message)
  if (!existsSync(file)) throw new Error(said.slice(-2000))
  const results: Results = JSON.parse(readFileSync(file, "utf8"))
  const failures = results.testResults.flatMap(({ assertionResults, message, name, status }) =>
    status === "failed" && assertionResults.length === 0
      ? [`${name}: ${message}`]
      : assertionResults
          .filter((test) => test.status === "failed")
          .map((test) => `${test.fullName}: ${test.failureMessages.join("\n").slice(0, 500)}`)
  )
  return {
    passed: results.numPassedTests,
    failed: failures.length,
    skipped: results.numPendingTests + results.numTodoTests,
    failures
  }
}

interface Results {
  readonly numPassedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}
