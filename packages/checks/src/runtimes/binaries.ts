import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "../workspace.js"

/** A runtime that is published as a package of npm, which has it as one file. */
export interface Binary {
  readonly spec: string
  /** Where the file is in the package. */
  readonly file: string
}

/** Takes a runtime from npm into a directory of its own. Gives the path of its file. */
export const take = async ({ file, spec }: Binary, directory: string): Promise<string> => {
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "runtime", private: true }))
  const options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
  await run("npm", ["install", `runtime@npm:${spec}`, ...options], directory)
  const path = join(directory, "node_modules/runtime", file)
  if (!existsSync(path)) throw new Error(`${spec} has no ${file}`)
  return path
}
