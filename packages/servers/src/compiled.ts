import { spawnSync } from "node:child_process"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const compiler = fileURLToPath(new URL("../../../node_modules/.bin/tsc", import.meta.url))
const bundler = fileURLToPath(new URL("../node_modules/.bin/esbuild", import.meta.url))

const options = [
  "--bundle",
  "--splitting",
  "--format=esm",
  "--platform=node",
  "--conditions=compiled",
  // What nobody starts, and what is loaded only where it is installed.
  ...["@effect/vitest", "vitest", "pg-native", "bufferutil", "utf-8-validate"].map((name) => `--external:${name}`),
  // For libraries that are no modules.
  '--banner:js=import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url)',
  "--log-level=warning"
]

/** The programs of each project, in the folder that the compiler writes them to. */
const programs: Readonly<Record<string, { readonly folder: string; readonly names: RegExp }>> = {
  "client-service-cli": { folder: "dist/internal", names: /^bin\.js$/ },
  "client-service-node": { folder: "build/test/test/fixtures", names: /^\w+\.js$/ },
  examples: { folder: "build", names: /^(?:[\w-]+|support\/mcpServer|test\/wirings)\.js$/ }
}

interface Project {
  readonly config: { readonly name: string; readonly root: string }
}

/**
 * What a project of Vitest names as its `globalSetup`, whose tests start programs: compiles them, with the packages that they
 * use, and bundles them with all that they load, since a program that has to find hundreds of files takes three times as much
 * of the processor to start. They are in `build/bundled`.
 */
export default ({ config: { name, root } }: Project): void => {
  const run = (command: string, args: ReadonlyArray<string>) => {
    const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit" })
    if (status !== 0) throw new Error(`The tests of ${name} do not compile.`)
  }
  run(compiler, ["-b"])
  const project = programs[name]
  if (project === undefined) throw new Error(`Nobody has told which programs the tests of ${name} start.`)
  const folder = join(root, project.folder)
  const bundled = join(root, "build/bundled")
  rmSync(bundled, { recursive: true, force: true })
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => project.names.test(file))
    .map((file) => join(folder, file))
  run(bundler, [...entries, `--outbase=${folder}`, `--outdir=${bundled}`, ...options])
}
