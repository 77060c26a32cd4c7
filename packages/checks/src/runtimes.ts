// Runs programs with the packages as they are published on every runtime that npm and Debian have, against servers that are
// killed; and with `--suite` the tests too, or with `--suite=client-service` those of one package. Prints a table, with
// `--markdown` that of the README. `npm run test:runtimes` runs it, and takes the names of some runtimes, such as
// `npm run test:runtimes -- node-24 bun`.
import { join } from "node:path"
import { Effect } from "effect"
import { aligned } from "./aligned.js"
import { makeProject, type Project } from "./runtimes/project.js"
import { type Runtime, runtimes, type Taken } from "./runtimes/runtimes.js"
import { type Servers, startServers } from "./runtimes/servers.js"
import { runSuite } from "./runtimes/suite.js"
import { none, temporaryDirectory } from "./workspace.js"

const words = process.argv.slice(2)
const named = words.filter((word) => !word.startsWith("--"))
const [, onlySuite] = words.map((word) => /^--suite(?:=(.*))?$/.exec(word)).find((match) => match !== null) ?? []
const withSuite = words.some((word) => word.startsWith("--suite"))
const isMarkdown = words.includes("--markdown")
const withPrograms = !words.includes("--no-programs")
none(
  named
    .filter((name) => !runtimes.has(name))
    .map((name) => `No such runtime: ${name}. There are ${[...runtimes.keys()].join(", ")}.`)
)

/** The programs that need a server of Debian's. */
const serverOf: Readonly<Record<string, string | undefined>> = { redis: "redis", pg: "postgres", amqp: "rabbitmq" }

const rows: Array<ReadonlyArray<string>> = [
  ["runtime", "version", "programs", ...(withSuite ? ["tests"] : []), "not claimed"]
]
const problems: Array<string> = []
const directory = temporaryDirectory()

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const project = withPrograms ? yield* Effect.promise(() => makeProject(directory)) : undefined
      const servers = withPrograms ? yield* startServers : undefined
      for (const [server, reason] of servers?.missing ?? []) console.log(`No ${server}: ${reason}`)
      for (const [name, runtime] of runtimes) {
        if (named.length > 0 && !named.includes(name)) continue
        rows.push(yield* Effect.promise(() => tryOn(runtime, join(directory, name), project, servers)))
      }
    })
  )
)
console.log(`\n${isMarkdown ? markdown(rows) : aligned(rows)}\n`)
none(problems)

async function tryOn(
  runtime: Runtime,
  directory: string,
  project: Project | undefined,
  servers: Servers | undefined
): Promise<ReadonlyArray<string>> {
  const { name } = runtime
  let taken: Taken
  try {
    taken = await runtime.take(directory)
  } catch (error) {
    const reason = messageOf(error).trim().split("\n").slice(0, 3).join(" ")
    console.log(`-     ${name} can't be had: ${reason}`)
    // What can't be had on a developer's machine has to be had in CI, or it would go untested unnoticed.
    if (process.env["CI"] === "true") problems.push(`${name} can't be had`)
    return [name, "-", "can't be had", ...(withSuite ? [""] : []), ""]
  }
  const programs =
    project === undefined || servers === undefined ? "" : await tryPrograms(runtime, taken, project, servers)
  const tests = withSuite ? [await trySuite(name, taken, directory)] : []
  return [
    name,
    taken.version,
    programs,
    ...tests,
    Object.entries(runtime.notClaimed)
      .map(([what, why]) => `\`${what}\`: ${why}`)
      .join("; ")
  ]
}

async function tryPrograms(
  { name, notClaimed }: Runtime,
  taken: Taken,
  project: Project,
  servers: Servers
): Promise<string> {
  const counts = { passed: 0, failed: 0, skipped: 0, "not claimed": 0 }
  for (const program of taken.programs(project)) {
    const title = `${name}: ${program.name}`
    const server = serverOf[program.name]
    if (server !== undefined && servers.missing.has(server)) {
      console.log(`-     ${title}: no ${server}`)
      counts.skipped += 1
      continue
    }
    const begun = performance.now()
    const took = () => `(${((performance.now() - begun) / 1000).toFixed(1)} s)`
    try {
      const said = await taken.runProgram(program, project, servers)
      counts.passed += 1
      console.log(`ok    ${title} ${took()}`)
      // What it was to do, and not what the service logs of it.
      for (const [line] of said.matchAll(/^- .*/gm)) console.log(`      ${line}`)
    } catch (error) {
      const isClaimed = notClaimed[program.name] === undefined
      counts[isClaimed ? "failed" : "not claimed"] += 1
      console.log(`${isClaimed ? "FAIL " : "-    "} ${title} ${took()}`)
      console.log(shortened(messageOf(error).trim()).replace(/^/gm, "        "))
      if (isClaimed) problems.push(`${title} failed`)
      // It may have failed between the end of a server and its start.
      for (const server of ["peer", ...Object.keys(servers.world.servers)])
        for (const action of ["kill", "start"]) await fetch(`${servers.world.control}/${server}/${action}`)
    }
  }
  return countsOf(counts)
}

async function trySuite(name: string, { suite }: Taken, directory: string): Promise<string> {
  if (suite === undefined) return ""
  const cells: Array<string> = []
  for (const project of suite.projects.filter((project) => onlySuite === undefined || project === onlySuite)) {
    try {
      const tests = await runSuite(project, suite.command, suite.environment, directory)
      for (const failure of tests.failures) console.log(`FAIL  ${name}: ${failure}`)
      if (tests.failed > 0) problems.push(`${name}: ${tests.failed} tests of ${project} failed`)
      const { failed, passed, skipped } = tests
      const cell = `${project}: ${countsOf({ passed, failed, skipped })}`
      console.log(`      ${name}: ${cell}`)
      cells.push(cell)
    } catch (error) {
      problems.push(`${name}: the tests of ${project} did not run`)
      console.log(messageOf(error))
      cells.push(`${project}: not run`)
    }
  }
  return cells.join("; ")
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([what, count]) => what === "passed" || count > 0)
  return parts.map(([what, count]) => `${count} ${what}`).join(", ")
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The beginning and the end, which tell most. */
function shortened(text: string): string {
  return text.length < 6000 ? text : `${text.slice(0, 2000)}\n...\n${text.slice(-4000)}`
}

function markdown(rows: ReadonlyArray<ReadonlyArray<string>>): string {
  const [head = [], ...rest] = rows
  return [head, head.map(() => "---"), ...rest].map((row) => `| ${row.join(" | ")} |`).join("\n")
}
