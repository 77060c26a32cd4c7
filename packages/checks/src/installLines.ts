import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Packed } from "./packing.js"
import { fromRoot, none, publishedPackages, root, run } from "./workspace.js"

/** A line of a README that installs what the README needs. */
export interface InstallLine {
  readonly readme: string
  readonly line: string
}

/** The lines of a README that a reader copies to install what it tells about. */
export const installLines = (readme: string): ReadonlyArray<InstallLine> =>
  [...readFileSync(readme, "utf8").matchAll(/^```(?:sh|bash|shell|console)\n([\s\S]*?)^```$/gm)].flatMap(
    ([, code = ""]) =>
      code
        .replace(/\\\n\s*/g, "")
        .split("\n")
        .filter((line) => /^(?:\$ )?npm (?:i|install|add)\b/.test(line))
        .map((line) => ({ readme, line: line.replace(/^\$ /, "") }))
  )

/** The READMEs that tell how to install something: that of the workspace, and one of each package. */
export const readmes = (): ReadonlyArray<string> =>
  [root, ...publishedPackages().map(({ directory }) => directory)].map((directory) => join(directory, "README.md"))

/** The chapters of the guides that are published in the packages. */
export const chapters = (): ReadonlyArray<string> =>
  publishedPackages()
    .map(({ directory }) => join(directory, "docs"))
    .filter(existsSync)
    .flatMap((docs) => readdirSync(docs).map((name) => join(docs, name)))
    .filter((file) => file.endsWith(".md"))

/**
 * Runs such a line in an empty project, as its reader would, with the packages of the workspace from their tarballs. Fails
 * if npm does, if npm warns, and if the line leaves to npm what it is to choose: the version of a package of somebody
 * else's, or a peer that is not named.
 */
export const installByLine = async (
  { line, readme }: InstallLine,
  packed: ReadonlyMap<string, Packed>,
  project: string
): Promise<void> => {
  const specs = specsOf(line)
  const names = new Set(specs.map(nameOf))
  const own = [...packed.keys()]
  none([
    ...specs
      .filter((spec) => !own.includes(nameOf(spec)) && !/.@(?:0\.\d+|[1-9]\d*)(?:\.\d+)*$/.test(spec))
      .map((spec) => `${fromRoot(readme)} installs ${spec} without the major that works`),
    ...publishedPackages()
      .filter(({ manifest }) => names.has(manifest.name))
      .flatMap(({ manifest }) =>
        Object.keys(manifest.peerDependencies ?? {})
          .filter((peer) => !names.has(peer))
          .map((peer) => `${fromRoot(readme)} does not install ${peer}, which ${manifest.name} needs`)
      )
  ])

  const tarball = (name: string) => `file:${packed.get(name)?.tarball}`
  // What the packages on the line depend on comes from the workspace too.
  const overrides = Object.fromEntries(own.filter((name) => !names.has(name)).map((name) => [name, tarball(name)]))
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "consumer", private: true, overrides }))
  const args = specs.map((spec) => (own.includes(nameOf(spec)) ? tarball(nameOf(spec)) : spec))
  const output = await run(
    "npm",
    ["install", ...args, "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=warn"],
    project
  )
  const warnings = output.split("\n").filter((line) => /^npm (?:warn|err)/i.test(line))
  // What somebody else's package depends on may be deprecated; what the line names may not.
  none(warnings.filter((warning) => !isOfOthers(warning, names)))
}

/** What a line installs, such as `effect@3`. */
export const specsOf = (line: string): ReadonlyArray<string> =>
  (line.split(" #")[0] ?? "")
    .split(/\s+/)
    .slice(2)
    .filter((word) => word !== "" && !word.startsWith("-"))

/** The name of a package in what a line installs. */
export const nameOf = (spec: string): string => /^(?:@[^/]+\/)?[^@]+/.exec(spec)?.[0] ?? spec

const isOfOthers = (warning: string, names: ReadonlySet<string>): boolean => {
  const deprecated = /^npm warn deprecated (\S+?)@\d/i.exec(warning)?.[1]
  return deprecated !== undefined && !names.has(deprecated)
}
