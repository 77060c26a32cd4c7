import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { published, root } from "./workspace.js"

/** Makes the declarations that the reference is made of, as far as they are out of date. */
export const makeDeclarations = (): void => {
  const projects = published().map(({ directory }) => join(directory, "tsconfig.src.json"))
  const { error, status } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-b", ...projects], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"]
  })
  if (status !== 0) throw error ?? new Error("the packages don't compile")
}
