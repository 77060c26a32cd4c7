// Runs in a package that is about to be packed: builds it afresh, so that nothing of an earlier build gets published, and
// puts the licence and the changelog of the whole beside it. With the argument `undo`, takes those away again. It runs
// twice for each package, so it is plain JavaScript, which starts at once.
//
// The checks build all packages at once before they pack them, and say so in the environment.
import { spawnSync } from "node:child_process"
import { copyFileSync, rmSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..")
const shared = ["LICENSE", "CHANGELOG.md"]

if (process.argv[2] === "undo") {
  for (const file of shared) rmSync(file, { force: true })
} else {
  if (!process.env["npm_config_user_agent"]?.startsWith("pnpm/"))
    throw new Error("Pack and publish with pnpm: no other client puts the exports of publishConfig into the package.")
  if (process.env["CLIENT_SERVICE_BUILT"] === undefined) {
    rmSync("dist", { recursive: true, force: true })
    rmSync("build/src.tsbuildinfo", { force: true })
    const { error, status } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-b", "tsconfig.src.json"], {
      stdio: "inherit"
    })
    if (status !== 0) throw error ?? new Error("the package does not compile")
  }
  for (const file of shared) copyFileSync(join(root, file), file)
}
