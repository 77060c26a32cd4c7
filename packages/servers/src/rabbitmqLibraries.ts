import { readdirSync, readFileSync, realpathSync } from "node:fs"
import { mkdir, symlink } from "node:fs/promises"
import { dirname, join } from "node:path"

/**
 * Makes a folder from which RabbitMQ starts as from where it is installed, but with no libraries other than those of some
 * plugins. It looks for each of its thousand modules in one library after the other, which takes a third of the processor
 * time of a start where there are all. Gives the folder of the scripts.
 */
export const withLibrariesOf = async (
  plugins: ReadonlyArray<string>,
  script: string,
  directory: string
): Promise<string> => {
  const installed = dirname(dirname(realpathSync(script)))
  await mkdir(join(directory, "plugins"), { recursive: true })
  for (const name of ["sbin", "escript"]) await symlink(join(installed, name), join(directory, name))
  for (const name of neededBy(["rabbit", ...plugins], join(installed, "plugins")))
    await symlink(join(installed, "plugins", name), join(directory, "plugins", name))
  return join(directory, "sbin")
}

/** The folders of libraries, such as `rabbit-3.10.8`, with those of all that they need in turn. */
const neededBy = (names: ReadonlyArray<string>, libraries: string): ReadonlyArray<string> => {
  const folders = new Map(readdirSync(libraries).map((folder) => [folder.replace(/-[\d.]+$/, ""), folder]))
  const missing = names.filter((name) => !folders.has(name))
  if (missing.length > 0) throw new Error(`RabbitMQ has no plugin ${missing.join(", ")} in ${libraries}`)
  const needed = new Set(names)
  // What is added while it goes on is visited, too.
  for (const name of needed) {
    const folder = folders.get(name)
    // Those of Erlang itself are elsewhere.
    if (folder === undefined) continue
    const manifest = readFileSync(join(libraries, folder, "ebin", `${name}.app`), "utf8")
    const [, applications = ""] = /\{applications,\s*\[([^\]]*)\]/.exec(manifest) ?? []
    for (const [application] of applications.matchAll(/\w+/g)) needed.add(application)
  }
  return [...needed].flatMap((name) => folders.get(name) ?? [])
}
