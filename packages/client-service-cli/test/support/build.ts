import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** Compiles the command, and the packages that it uses, before the tests run. */
export default (): void => {
  const directory = fileURLToPath(new URL("../..", import.meta.url))
  const { status } = spawnSync("npx", ["tsc", "-b", "tsconfig.test.json"], { cwd: directory, stdio: "inherit" })
  if (status !== 0) throw new Error("The tests do not compile.")
}
