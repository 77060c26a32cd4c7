import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const compiler = fileURLToPath(new URL("../../../node_modules/.bin/tsc", import.meta.url))

interface Project {
  readonly config: { readonly name: string; readonly root: string }
}

/**
 * What a project of Vitest names as its `globalSetup`, whose tests start programs: compiles them, with the packages that they
 * use, so that each starts in less time.
 */
export default ({ config: { name, root } }: Project): void => {
  const { status } = spawnSync(compiler, ["-b"], { cwd: root, stdio: "inherit" })
  if (status !== 0) throw new Error(`The tests of ${name} do not compile.`)
}
