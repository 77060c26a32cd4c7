import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** Compiles the examples, and the packages that they use, before their tests run. */
export default (): void => {
  const root = fileURLToPath(new URL("../..", import.meta.url))
  const { status } = spawnSync("npx", ["tsc", "-b", "examples"], { cwd: root, stdio: "inherit" })
  if (status !== 0) throw new Error("The examples do not compile.")
}
