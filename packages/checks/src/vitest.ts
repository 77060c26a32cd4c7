import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join, relative } from "node:path"
import { pathToFileURL } from "node:url"
import type { Report } from "./Report.js"
import { failureTests, type MarkedTest } from "./reliability.js"
import { none, root, temporaryDirectory } from "./workspace.js"

/**
 * Runs all tests, and once more, by themselves, the files of those that failed. A test that passes then counts as passed,
 * and is named as unsteady with what it failed with: it is worth a look. The machine had other things to do, or a file before
 * it has left something in the process that they shared.
 */
export async function runTests(report: Report): Promise<void> {
  const first = vitest("results", together)
  const failures = failuresOf(first.files)
  const isWorthAnother = first.files.length > 0 && failures.length > 0 && failures.length <= mostToRepeat
  const again = isWorthAnother
    ? vitest("results-again", [...byItself, ...new Set(failures.map(({ file }) => relative(root, file)))]).files
    : []
  const isUnsteady = (failure: Failure) => again.some((file) => passesIn(file, failure))
  const failed = failures.filter((failure) => !isUnsteady(failure))
  const unsteady = failures.filter(isUnsteady)
  for (const { file, message, title } of unsteady)
    console.log(`unsteady, and passed by itself: ${relative(root, file)}: ${title}\n  ${message}`)
  for (const { file, message, title } of failed) console.log(`FAIL  ${relative(root, file)}: ${title}\n  ${message}`)
  report.add({
    passed: first.passed + unsteady.length,
    failed: failed.length,
    skipped: first.skipped
  })

  const { default: workspace }: Workspace = await import(pathToFileURL(join(root, "vitest.workspace.ts")).href)
  const projects = workspace.map((project) => (typeof project === "string" ? { root: project } : project))
  const problems = [
    ...(first.status !== 0 && failures.length === 0
      ? [`vitest ended with ${first.status}, though no test failed`]
      : []),
    ...projects
      .filter((project) => !first.files.some((file) => isPassedIn(project, file)))
      .map(({ root, test }) => `not one test of ${test?.name ?? root} passed`),
    ...failureTests()
      .filter((test) => !first.files.some((file) => hasRun(test, file)))
      .map(({ title }) => `the test of a failure was not run: ${title}`)
  ]
  // Said only when it is so: the last words are those of the tests.
  if (problems.length > 0) await report.check("every project has tests", () => none(problems))
}

/**
 * In threads and in processes, which the files of a project share: half as many again as there are processors, since many
 * tests wait for servers and for other programs.
 */
const together = [
  "--config=packages/checks/src/vitestConfig.ts",
  "--workspace=vitest.workspace.ts",
  // Vitest heeds this only here, not where a project says it.
  "--poolOptions.threads.isolate=false",
  "--poolOptions.forks.isolate=false",
  `--poolOptions.threads.maxThreads=${availableParallelism()}`,
  "--poolOptions.threads.minThreads=1",
  `--poolOptions.forks.maxForks=${Math.ceil(availableParallelism() / 2)}`,
  "--poolOptions.forks.minForks=1"
]

/**
 * The megabytes for what is new in a heap, that of each thread too. Effects are let go of soon, and the fewer collections there
 * are, the fewer find them still in use.
 */
const largeNursery = "--max-semi-space-size=64"

/** One file at a time, each in a process of its own. */
const byItself = ["--pool=forks", "--no-file-parallelism"]

/** Of more than these, the cause is not the machine. */
const mostToRepeat = 10

/** A test that failed, or a file that did before any of its tests ran. */
interface Failure {
  readonly file: string
  readonly title: string
  readonly message: string
}

const vitest = (name: string, args: ReadonlyArray<string>) => {
  const output = join(temporaryDirectory(), `${name}.json`)
  const { status } = spawnSync(
    process.execPath,
    [
      largeNursery,
      join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      ...args,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${output}`
    ],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"] }
  )
  const results: VitestResults | undefined = existsSync(output) ? JSON.parse(readFileSync(output, "utf8")) : undefined
  return {
    status,
    files: results?.testResults ?? [],
    passed: results?.numPassedTests ?? 0,
    skipped: (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0)
  }
}

const wholeFile = "the file itself"

const failuresOf = (files: ReadonlyArray<TestFile>): ReadonlyArray<Failure> =>
  files.flatMap(({ assertionResults, message, name, status }) => {
    const failed = assertionResults.filter((test) => test.status === "failed")
    return failed.length === 0 && status === "failed"
      ? [{ file: name, title: wholeFile, message: firstLine(message) }]
      : failed.map((test) => ({ file: name, title: test.fullName, message: firstLine(test.failureMessages?.[0]) }))
  })

const passesIn = (file: TestFile, { file: name, title }: Failure): boolean =>
  file.name === name &&
  (title === wholeFile
    ? file.status === "passed" && file.assertionResults.length > 0
    : file.assertionResults.some(({ fullName, status }) => fullName === title && status === "passed"))

const firstLine = (text: string | undefined): string => text?.split("\n")[0] ?? ""

const isPassedIn = ({ root: directory, test }: Project, { assertionResults, name }: TestFile): boolean => {
  const [first, ...path] = relative(join(root, directory), name).split("/")
  if (first === undefined || first === "..") return false
  const file = [first, ...path].join("/")
  // What is included is either told file by file, or all that is not excluded.
  const files = test?.include?.filter((pattern) => !pattern.includes("*")) ?? []
  const isOfIt = files.length > 0 ? files.includes(file) : test?.exclude?.includes(file) !== true
  return isOfIt && assertionResults.some(({ status }) => status === "passed")
}

const hasRun = ({ file, title }: MarkedTest, { assertionResults, name }: TestFile): boolean =>
  name === file && assertionResults.some((test) => test.title === title && /^(passed|failed)$/.test(test.status))

interface Workspace {
  readonly default: ReadonlyArray<string | Project>
}

interface Project {
  readonly root: string
  readonly test?: {
    readonly name?: string
    readonly include?: ReadonlyArray<string>
    readonly exclude?: ReadonlyArray<string>
  }
}

interface VitestResults {
  readonly numPassedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: ReadonlyArray<TestFile>
}

interface TestFile {
  readonly name: string
  readonly status: string
  readonly message?: string
  readonly assertionResults: ReadonlyArray<{
    readonly title: string
    readonly fullName: string
    readonly status: string
    readonly failureMessages?: ReadonlyArray<string>
  }>
}
