// Makes the workspace ready to run with nothing but Node and npm at hand: installs the dependencies if any is missing or
// the lockfile has changed since, and otherwise returns at once. It runs before anything is installed, so it has no
// dependencies and is plain JavaScript.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..")
const stampFile = join(root, "node_modules", ".installed")

if (!isInstalled()) install()

function isInstalled() {
  if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== stamp()) return false
  return manifests().every(({ directory, manifest }) =>
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).every((name) =>
      existsSync(join(directory, "node_modules", name, "package.json"))
    )
  )
}

function install() {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  console.log(`Installing the dependencies with ${packageManager}`)
  const { error, status } = spawnSync(
    "npx",
    // What is in node_modules may come from elsewhere; without a terminal nobody could confirm that it is replaced.
    ["--yes", packageManager, "install", "--frozen-lockfile", "--config.confirm-modules-purge=false"],
    { cwd: root, env: environment(), stdio: ["ignore", "inherit", "inherit"], shell: process.platform === "win32" }
  )
  if (error !== undefined || status !== 0) {
    console.error(
      `The dependencies could not be installed: npx ${packageManager} ${error?.message ?? `ended with exit code ${status}`}.`
    )
    console.error("It needs npm, access to the npm registry, and a pnpm-lock.yaml that agrees with every package.json.")
    process.exit(1)
  }
  writeFileSync(stampFile, stamp())
}

function stamp() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`)
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml"]) hash.update(readFileSync(join(root, file)))
  for (const { text } of manifests()) hash.update(text)
  return hash.digest("hex")
}

function manifests() {
  const packages = readdirSync(join(root, "packages")).map((name) => join(root, "packages", name))
  return [root, join(root, "examples"), ...packages].flatMap((directory) => {
    const file = join(directory, "package.json")
    if (!existsSync(file)) return []
    const text = readFileSync(file, "utf8")
    return [{ directory, text, manifest: JSON.parse(text) }]
  })
}

// Under NODE_ENV=production, development dependencies would be left out.
function environment() {
  const { NODE_ENV: _, ...env } = process.env
  return env
}
