import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { build as bundle, transform } from "esbuild"
import { installByLine, installLines, specsOf } from "../installLines.js"
import { build, pack } from "../packing.js"
import { publishedPackages, root } from "../workspace.js"

const consumers = join(root, "packages/checks/consumer")
const programs = join(import.meta.dirname, "programs")

/** A program of a project. */
export interface Program {
  readonly name: string
  readonly file: string
}

export interface Project {
  readonly directory: string
  /** The program of each package that runs by itself, as it is compiled by the check of the packages. */
  readonly consumers: ReadonlyArray<Program>
  /** Programs that run against the servers. */
  readonly programs: ReadonlyArray<Program>
  /** What runs where there are no files, in one. */
  readonly bundle: (name: "workerd" | "browser") => Promise<string>
}

/** Makes a project outside the workspace that has the packages as they are published, and the programs in JavaScript. */
export const makeProject = async (directory: string): Promise<Project> => {
  const packages = publishedPackages()
  await build(packages)
  const packed = await pack(packages, directory)
  const project = join(directory, "project")
  const lines = packages.flatMap((pkg) => installLines(join(pkg.directory, "README.md")).slice(0, 1))
  const specs = [...new Set(lines.flatMap(({ line }) => specsOf(line)))].join(" ")
  await installByLine({ readme: join(root, "README.md"), line: `npm install ${specs}` }, packed, project)
  const manifest: object = JSON.parse(readFileSync(join(project, "package.json"), "utf8"))
  writeFileSync(join(project, "package.json"), JSON.stringify({ ...manifest, type: "module" }))

  const write = async (source: string, name: string): Promise<Program> => {
    const { code } = await transform(readFileSync(source, "utf8"), { loader: "ts", format: "esm", target: "es2022" })
    writeFileSync(join(project, `${name}.js`), code)
    return { name, file: join(project, `${name}.js`) }
  }
  const own = await Promise.all(
    readdirSync(programs).map((file) => write(join(programs, file), file.replace(/\.ts$/, "")))
  )
  return {
    directory: project,
    consumers: await Promise.all(
      packages.map(({ manifest: { name } }) => write(join(consumers, name, "main.ts"), name))
    ),
    programs: own.filter(({ file }) => /^await main\(/m.test(readFileSync(file, "utf8"))),
    bundle: async (name) => {
      const { outputFiles } = await bundle({
        entryPoints: [join(project, `${name}.js`)],
        bundle: true,
        format: "esm",
        platform: "browser",
        target: "es2022",
        write: false
      })
      return outputFiles.map(({ text }) => text).join("")
    }
  }
}
