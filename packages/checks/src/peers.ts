// Runs the tests of the core, or of the packages that are named, with the oldest and the newest versions of Effect and of
// its platform that the peer ranges of the core admit, each pair in a copy of the workspace; and with the version before
// the oldest of either, to see whether the range could be wider. Prints a table. `npm run test:peers` runs it.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import ts from "typescript"
import { aligned } from "./aligned.js"
import { compareVersions, satisfies } from "./semver.js"
import { none, readManifest, root, run, temporaryDirectory } from "./workspace.js"

const platform = "@effect/platform"
const platformNode = "@effect/platform-node"

const core = "packages/client-service"
const named = process.argv.slice(2)
const packages = named.length === 0 ? [core] : named.map((name) => join("packages", basename(name)))
const peers = readManifest(join(root, core)).peerDependencies ?? {}

const allEffects = await published("effect")
const effects = versionsIn(allEffects, "effect")
const allPlatforms = await published(platform)
const platforms = versionsIn(allPlatforms, platform)
// Those for Effect 4 have no such peer.
const nodes = (await published(platformNode)).filter(
  ({ peerDependencies }) => peerDependencies?.[platform] !== undefined
)

const pairs = [
  ...[...new Set([first(platforms), last(platforms)])].flatMap((version) =>
    admittedWith(version).map((effect) => pair(effect, version, true))
  ),
  ...before(allPlatforms, platforms).map((version) => pair(last(effects), version, false)),
  ...before(allEffects, effects).map((effect) => pair(effect, first(platforms), false))
]

const rows: Array<ReadonlyArray<string>> = [["effect", platform, platformNode, "admitted", "types", "tests"]]
const problems: Array<string> = []
for (const pair of pairs) {
  const title = `effect ${pair.effect} with ${platform} ${pair.platform}`
  console.log(`${title} ...`)
  const outcome = await tryWith(pair)
  if (outcome.output !== "") console.log(outcome.output)
  const hasPassed = outcome.types === "pass" && outcome.tests.startsWith("pass")
  if (pair.isAdmitted && !hasPassed) problems.push(`${title} is admitted, but does not pass`)
  if (!pair.isAdmitted && hasPassed) problems.push(`${title} passes, but is not admitted`)
  const { effect, node } = pair
  rows.push([effect, pair.platform, node, pair.isAdmitted ? "yes" : "no", outcome.types, outcome.tests])
}
console.log(`\n${aligned(rows)}\n`)
none(problems)

interface Pair {
  readonly effect: string
  readonly platform: string
  readonly node: string
  readonly isAdmitted: boolean
}

interface Outcome {
  readonly types: string
  readonly tests: string
  /** What the commands that failed have said. */
  readonly output: string
}

interface Published {
  readonly version: string
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** The oldest and the newest Effect that the ranges admit together with that platform. */
function admittedWith(version: Published): ReadonlyArray<Published> {
  const together = effects.filter((effect) => satisfies(effect.version, peerOf(version, "effect")))
  return [...new Set([first(together), last(together)])]
}

function pair(effect: Published, version: Published, isAdmitted: boolean): Pair {
  const node = nodes.filter((node) => satisfies(version.version, peerOf(node, platform))).at(-1)
  if (node === undefined) throw new Error(`No ${platformNode} goes with ${platform} ${version.version}`)
  return { effect: effect.version, platform: version.version, node: node.version, isAdmitted }
}

/** The version before the oldest of those that are admitted, if there is one. */
function before(all: ReadonlyArray<Published>, admitted: ReadonlyArray<Published>): ReadonlyArray<Published> {
  const index = all.indexOf(first(admitted))
  return all.slice(Math.max(0, index - 1), index)
}

/** The versions of a package, the oldest first. */
async function published(name: string): Promise<ReadonlyArray<Published>> {
  // With two fields that all of them have, or npm gives just the text of one, of all if the first has no peers.
  const fields = ["name", "version", "peerDependencies"]
  const versions: ReadonlyArray<Published> = JSON.parse(
    await run("npm", ["view", `${name}@>=0.0.1`, ...fields, "--json"], root)
  )
  return [...versions]
    .filter(({ version }) => !version.includes("-"))
    .sort((one, other) => compareVersions(one.version, other.version))
}

function versionsIn(versions: ReadonlyArray<Published>, name: string): ReadonlyArray<Published> {
  return versions.filter(({ version }) => satisfies(version, peers[name] ?? "*"))
}

function peerOf({ peerDependencies }: Published, name: string): string {
  return peerDependencies?.[name] ?? "*"
}

async function tryWith({ effect, node, platform: version }: Pair): Promise<Outcome> {
  const directory = join(temporaryDirectory(), "workspace")
  const files = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], root)
  for (const file of files.split("\0").filter((file) => /^packages\/(client-service|servers)|^[^/]+$/.test(file))) {
    mkdirSync(join(directory, file, ".."), { recursive: true })
    cpSync(join(root, file), join(directory, file))
  }
  const catalog = { effect, [platform]: version, [platformNode]: node }
  rewrite(join(directory, "pnpm-workspace.yaml"), (text) =>
    Object.entries(catalog).reduce(
      (text, [name, version]) => text.replace(new RegExp(`^( +"?${name}"?:) .*$`, "m"), `$1 ${version}`),
      // Only what is needed to run these tests.
      text.replace(
        /^packages:\n( +- .*\n)+/,
        `packages:\n${packagesToInstall()
          .map((path) => `  - ${path}\n`)
          .join("")}`
      )
    )
  )
  rewrite(join(directory, "vitest.workspace.ts"), () =>
    [
      'import { defineWorkspace } from "vitest/config"',
      `export default defineWorkspace(${JSON.stringify(packages)})`
    ].join("\n")
  )
  const { packageManager = "pnpm" } = readManifest(root)
  const command = (name: string, ...args: ReadonlyArray<string>) => attempt(name, args, directory)
  const installed = await command("npx", "--yes", packageManager, "install", "--no-frozen-lockfile", "--ignore-scripts")
  if (!installed.hasPassed) return { types: "not installed", tests: "", output: installed.output }
  const types = await command("node_modules/.bin/tsc", "-b", "--pretty", "false", ...packages)
  const tests = await command("node_modules/.bin/vitest", "run", "--reporter=default")
  const counts = /^ +Tests +(.*)$/m.exec(plain(tests.output))?.[1]?.trim() ?? ""
  return {
    types: types.hasPassed ? "pass" : "fail",
    tests: `${tests.hasPassed ? "pass" : "fail"}: ${counts}`,
    output: [types, tests].flatMap(({ hasPassed, output }) => (hasPassed ? [] : [output])).join("\n")
  }
}

/** The packages under test and those of the workspace that they need. */
function packagesToInstall(): ReadonlyArray<string> {
  const needed = new Set(packages)
  const byName = new Map(
    ts.sys.getDirectories(join(root, "packages")).map((name) => {
      const path = join("packages", name)
      return [readManifest(join(root, path)).name, path] as const
    })
  )
  // A Set is walked through to what is added on the way.
  for (const path of needed) {
    const { dependencies, devDependencies, peerDependencies } = readManifest(join(root, path))
    for (const name of Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies })) {
      const other = byName.get(name)
      if (other !== undefined) needed.add(other)
    }
  }
  return [...needed]
}

async function attempt(name: string, args: ReadonlyArray<string>, directory: string) {
  try {
    return { hasPassed: true, output: await run(name, args, directory, { timeoutMillis: 900_000 }) }
  } catch (error) {
    return { hasPassed: false, output: error instanceof Error ? error.message : String(error) }
  }
}

function rewrite(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, "utf8")))
}

function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes of colours are such characters.
  return text.replace(/\u001b\[[\d;]*m/g, "")
}

function first<A>(values: ReadonlyArray<A>): A {
  const [value] = values
  if (value === undefined) throw new Error("No version that npm has is in the range")
  return value
}

function last<A>(values: ReadonlyArray<A>): A {
  return first(values.slice(-1))
}
