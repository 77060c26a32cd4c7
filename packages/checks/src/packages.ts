import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join, normalize, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { checkBundles } from "./bundles.js"
import { chapters, type InstallLine, installByLine, installLines, readmes, specsOf } from "./installLines.js"
import { linkProblems } from "./links.js"
import { build, type Packed, pack } from "./packing.js"
import type { Report } from "./Report.js"
import { fromRoot, none, type Package, publishedPackages, root, run, runBin, temporaryDirectory } from "./workspace.js"

/**
 * Checks each package as its users get it: packs it, looks into the tarball, and installs it with npm in an empty project
 * outside the workspace by the line of its README, where a program runs. Every other line of a README that installs
 * something is run in a project of its own.
 */
export const checkPackages = async (report: Report): Promise<void> => {
  const directory = temporaryDirectory()
  const packages = publishedPackages()
  let packed: ReadonlyMap<string, Packed> = new Map()
  await report.check("the packages build", () => build(packages))
  await report.check("the packages pack", async () => {
    packed = await pack(packages, directory)
  })
  await report.check("every README has a line that installs what it tells about", () =>
    none(readmes().flatMap((readme) => (installLines(readme).length === 0 ? [`${fromRoot(readme)} has none`] : [])))
  )

  const [workspace = "", ...ofPackages] = readmes()
  const others = distinct([
    ...installLines(workspace),
    ...ofPackages.flatMap((readme) => installLines(readme).slice(1))
  ])
  await concurrently([
    ...[packages.filter(hasTypesOfNode), packages.filter((pkg) => !hasTypesOfNode(pkg))].map(
      (consumed, index) => () => checkConsumers(report, consumed, packed, join(directory, `consumers${index}`))
    ),
    ...packages.map((pkg) => () => checkContent(report, pkg, packed)),
    ...others.map(({ line, readme, readmes }, index) => async () => {
      const project = join(directory, "lines", String(index))
      await report.check(`${readmes.map(fromRoot).join(", ")}: ${line}`, () =>
        installByLine({ line, readme }, packed, project)
      )
    })
  ])
}

/** Each line once, with all of the READMEs that have it. */
const distinct = (lines: ReadonlyArray<InstallLine>) =>
  [...new Set(lines.map(({ line }) => line))].map((line) => {
    const readmes = lines.filter((other) => other.line === line).map(({ readme }) => readme)
    return { line, readme: readmes[0] ?? root, readmes }
  })

const concurrently = (tasks: ReadonlyArray<() => Promise<void>>): Promise<void> =>
  Effect.runPromise(
    Effect.forEach(tasks, (task) => Effect.promise(task), { concurrency: availableParallelism(), discard: true })
  )

const checkContent = async (report: Report, pkg: Package, packed: ReadonlyMap<string, Packed>): Promise<void> => {
  const { name } = pkg.manifest
  const own = packed.get(name)
  if (own === undefined) return
  await report.check(`${name} contains what it should and no more`, () => none(contentProblems(pkg, own.content)))
  await report.check(`${name} has no link that leads out of it`, () => none(linkProblems(own.content)))
  await report.check(`${name} passes publint`, async () => {
    await runBin("publint", ["run", own.tarball, "--strict"], root)
  })
  await report.check(`${name} has types that resolve (attw)`, async () => {
    const entryPoints = [".", ...pkg.modules.filter((module) => module !== "index")]
    const options = ["--profile", "esm-only", "--no-color", "--no-emoji", "--entrypoints", ...entryPoints]
    await runBin("attw", [own.tarball, ...options], root)
  })
}

/**
 * Compiles programs that use these packages in one project, which takes much less than one for each, and runs each where
 * only what the line of its package's README installs is there.
 */
const checkConsumers = async (
  report: Report,
  packages: ReadonlyArray<Package>,
  packed: ReadonlyMap<string, Packed>,
  project: string
): Promise<void> => {
  const names = packages.map(({ manifest }) => manifest.name).join(", ")
  const lines = packages.flatMap(({ directory }) => installLines(join(directory, "README.md")).slice(0, 1))
  const [single] = packages.length === 1 ? lines : []
  const together = [...new Set(lines.flatMap(({ line }) => specsOf(line)))].join(" ")
  const isInstalled =
    single === undefined
      ? await report.check(`${names} install beside each other`, () =>
          installByLine({ readme: join(root, "README.md"), line: `npm install ${together}` }, packed, project)
        )
      : await report.check(`${names} installs by the line of its README`, () => installByLine(single, packed, project))
  if (!isInstalled) return
  writeProject(packages, project)
  for (const { compiler, module, resolution, version } of consumers) {
    const options = ["--module", module, "--moduleResolution", resolution, "--skipLibCheck", "false"]
    await report.check(`${names} compile in a consumer (moduleResolution ${resolution}, TypeScript ${version})`, () =>
      compile(project, [...packed.keys()], options, `out/${resolution}`, compiler)
    )
  }
  // To install is half waiting, and those who have other packages to check end long before.
  await concurrently(packages.map((pkg) => () => checkConsumer(report, pkg, packed, project, packages.length === 1)))
}

/** Installs a package by the line of its README, unless it is there by that already, and runs there what was compiled. */
const checkConsumer = async (
  report: Report,
  pkg: Package,
  packed: ReadonlyMap<string, Packed>,
  project: string,
  isSingle: boolean
): Promise<void> => {
  const { name } = pkg.manifest
  const [line] = installLines(join(pkg.directory, "README.md"))
  if (line === undefined) return
  // One by itself is there by its own line already.
  const own = isSingle ? project : join(project, "own", name)
  const isInstalled =
    own === project ||
    (await report.check(`${name} installs by the line of its README`, () => installByLine(line, packed, own)))
  if (!isInstalled) return
  await report.check(`${name} runs in a consumer`, async () => {
    const manifest: object = JSON.parse(readFileSync(join(own, "package.json"), "utf8"))
    writeFileSync(join(own, "package.json"), JSON.stringify({ ...manifest, type: "module" }))
    cpSync(join(project, "out/nodenext", name), join(own, "programs"), { recursive: true })
    // One after the other in one process, which loads what they share once.
    const programs = readdirSync(join(own, "programs")).flatMap((file) => ["--import", `./programs/${file}`])
    await run("node", ["--unhandled-rejections=strict", ...programs, "--eval", ""], own)
  })
  const commands = Object.keys(pkg.manifest.publishConfig?.bin ?? {})
  // What is installed to be run is in no bundle of an application.
  if (commands.length === 0) await checkBundles(report, pkg, own)
  for (const command of commands) {
    await report.check(`${command} of ${name} starts where it is installed`, async () => {
      const version = await run(join(own, "node_modules/.bin", command), ["--version"], own)
      if (version.trim() !== pkg.manifest.version) throw new Error(`its version is said to be ${version}`)
    })
  }
}

const contentProblems = ({ directory, modules }: Package, content: string): ReadonlyArray<string> => {
  const files = readdirSync(content, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(content.length + 1))
  const sources = readdirSync(join(directory, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
  const expected = new Set([
    "package.json",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    ...chapters()
      .filter((chapter) => chapter.startsWith(`${directory}/`))
      .map((chapter) => relative(directory, chapter)),
    ...pictures(join(directory, "README.md")),
    ...sources.flatMap((source) => [
      `src/${source}.ts`,
      ...["js", "d.ts", "js.map", "d.ts.map"].map((ending) => `dist/${source}.${ending}`)
    ])
  ])
  const manifest = readFileSync(join(content, "package.json"), "utf8")
  return [
    ...[...expected].filter((file) => !files.includes(file)).map((file) => `${file} is missing`),
    ...files
      .filter((file) => !expected.has(file) || file.includes(".test."))
      .map((file) => `${file} does not belong there`),
    ...files.filter((file) => file.endsWith(".map")).flatMap((file) => mapProblems(content, file)),
    ...(modules.includes("index") ? [] : ["there is no index module"]),
    ...(/"(?:workspace|catalog|link|file):/.test(manifest)
      ? ["package.json has dependencies that only resolve here"]
      : [])
  ]
}

/** The pictures that a README shows, which belong to it. */
const pictures = (readme: string): ReadonlyArray<string> =>
  [...readFileSync(readme, "utf8").matchAll(/\]\(([\w-]+\.(?:png|svg))/g)].map(([, picture = ""]) => picture)

const mapProblems = (content: string, file: string): ReadonlyArray<string> => {
  const map: { readonly sources: ReadonlyArray<string>; readonly sourceRoot?: string } = JSON.parse(
    readFileSync(join(content, file), "utf8")
  )
  return map.sources
    .map((source) => normalize(join(dirname(file), map.sourceRoot ?? "", source)))
    .filter((source) => source.startsWith("..") || !existsSync(join(content, source)))
    .map((source) => `${file} is a map of ${source}, which is not there`)
}

const typesOfNode = ({ directory }: Package): string => join(directory, "node_modules/@types/node")

const hasTypesOfNode = (pkg: Package): boolean => existsSync(typesOfNode(pkg))

const writeProject = (packages: ReadonlyArray<Package>, project: string): void => {
  const manifest: object = JSON.parse(readFileSync(join(project, "package.json"), "utf8"))
  writeFileSync(join(project, "package.json"), JSON.stringify({ ...manifest, type: "module" }))
  const [types] = packages.filter(hasTypesOfNode).map(typesOfNode)
  if (types !== undefined) {
    mkdirSync(join(project, "node_modules/@types"), { recursive: true })
    rmSync(join(project, "node_modules/@types/node"), { recursive: true, force: true })
    symlinkSync(realpathSync(types), join(project, "node_modules/@types/node"))
  }
  for (const pkg of packages) writeConsumer(pkg, join(project, pkg.manifest.name))
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2022", "DOM", "DOM.Iterable"],
    types: types === undefined ? [] : ["node"],
    rootDir: ".",
    strict: true,
    exactOptionalPropertyTypes: true
  }
  const include = packages.map(({ manifest }) => `${manifest.name}/*.ts`)
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include }))
}

const writeConsumer = ({ directory, manifest: { name }, modules }: Package, into: string): void => {
  cpSync(join(root, "packages/checks/consumer", name), into, { recursive: true })
  const named = modules.filter((module) => module !== "index")
  const index = readFileSync(join(directory, "src/index.ts"), "utf8")
  writeFileSync(
    join(into, "paths.ts"),
    [
      `import * as All from "${name}"`,
      ...named.map((module) => `import * as ${module} from "${name}/${module}"`),
      // Those that are not in the index are to be had by their paths alone; this uses them, too.
      `console.log(Object.keys({ ${named.join(", ")} }).length)`,
      ...named
        .filter((module) => index.includes(`"./${module}.js"`))
        .map((module) => `if (All.${module} !== ${module}) throw new Error("${module} differs by name and by path")`)
    ].join("\n")
  )
  const internals = join(directory, "src/internal")
  const internal = (existsSync(internals) ? readdirSync(internals, { recursive: true, encoding: "utf8" }) : [])
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.replace(/\.ts$/, ""))
  writeFileSync(
    join(into, "internal.ts"),
    [
      "export {}",
      'const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : error)',
      ...internal.flatMap((module, index) => [
        `const module${index}: unknown = await import(`,
        "  // @ts-expect-error: it is not for users.",
        `  "${name}/internal/${module}"`,
        ").then(() => undefined, codeOf)",
        `if (module${index} !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw new Error(\`internal/${module}: \${module${index}}\`)`
      ])
    ].join("\n")
  )
}

// The declarations of libraries are checked, since ours are among them; what is wrong in those of others is not ours.
const compile = async (
  project: string,
  own: ReadonlyArray<string>,
  options: ReadonlyArray<string>,
  into: string,
  compiler: Compiler
): Promise<void> => {
  const output = await compiler(project, own, [...options, "--outDir", into])
  const ours = own.map((name) => `node_modules/${name}/`)
  const errors = output
    .split("\n")
    .filter((line) => /error TS\d+/.test(line))
    .filter((line) => !line.startsWith("node_modules/") || ours.some((path) => line.startsWith(path)))
  none(errors)
  if (!existsSync(join(project, into))) throw new Error(output)
}

/** Compiles a project by the options of `tsc`, and gives what it says of that. */
type Compiler = (project: string, own: ReadonlyArray<string>, options: ReadonlyArray<string>) => Promise<string>

const compileBy7: Compiler = (project, _, options) =>
  runBin("tsc", ["-p", ".", "--pretty", "false", ...options], project).catch((error: Error) => error.message)

// It would look through all that Effect declares, which takes most of its time, to tell what nobody wants to know.
const compileBy5: Compiler = (project, own, options) =>
  run("node", ["--import", "tsx", compiler5, project, own.join(), ...options], root)

const compiler5 = fileURLToPath(new URL("compileBy5.ts", import.meta.url))

// What users have: `attw` resolves the types in each of the ways by 5, too.
const consumers = [
  { version: 5, compiler: compileBy5, resolution: "nodenext", module: "nodenext" },
  { version: 7, compiler: compileBy7, resolution: "bundler", module: "esnext" }
] as const
