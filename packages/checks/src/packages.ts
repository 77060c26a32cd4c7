import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join, normalize } from "node:path"
import { gzipSync } from "node:zlib"
import { Effect } from "effect"
import { build } from "esbuild"
import { minify } from "terser"
import type { Report } from "./Report.js"
import {
  none,
  type Package,
  publishedPackages,
  readManifest,
  root,
  run,
  runBin,
  temporaryDirectory
} from "./workspace.js"

/**
 * Checks each package as its users get it: packs it, looks into the tarball, and installs it with npm in an empty project
 * outside the workspace, which is compiled and run.
 */
export const checkPackages = async (report: Report): Promise<void> => {
  const directory = temporaryDirectory()
  const packages = publishedPackages()
  const packed = new Map<string, Packed>()
  for (const pkg of packages) {
    const { name } = pkg.manifest
    await report.check(`${name} packs`, async () => void packed.set(name, await pack(pkg, directory)))
  }
  const check = (pkg: Package) =>
    Effect.promise(() => checkPackage(report, pkg, packed, join(directory, "consumers", pkg.manifest.name)))
  await Effect.runPromise(Effect.forEach(packages, check, { concurrency: availableParallelism(), discard: true }))
}

/** What a bundle may weigh with all of a package in it but its test kit, minified and compressed, without what it depends on. */
const maxBundleKiB = 12

/** Modules for tests, which no application bundles. */
const testKit = new Set(["TestEndpoint", "EndpointRuleBroken", "FaultProxy"])

interface Packed {
  readonly tarball: string
  /** The directory it is unpacked in. */
  readonly content: string
}

const pack = async ({ directory, manifest }: Package, into: string): Promise<Packed> => {
  const { packageManager = "pnpm" } = readManifest(root)
  await run("npx", ["--yes", packageManager, "pack", "--pack-destination", into], directory)
  const tarball = join(into, `${manifest.name}-${manifest.version}.tgz`)
  const content = join(into, "content", manifest.name)
  mkdirSync(content, { recursive: true })
  await run("tar", ["-xzf", tarball, "-C", content, "--strip-components=1"], into)
  return { tarball, content }
}

const checkPackage = async (
  report: Report,
  pkg: Package,
  packed: ReadonlyMap<string, Packed>,
  project: string
): Promise<void> => {
  const { name } = pkg.manifest
  const own = packed.get(name)
  if (own === undefined) return
  await report.check(`${name} contains what it should and no more`, () => none(contentProblems(pkg, own.content)))
  await report.check(`${name} passes publint`, async () => {
    await runBin("publint", ["run", own.tarball, "--strict"], root)
  })
  await report.check(`${name} has types that resolve (attw)`, async () => {
    const entryPoints = [".", ...pkg.modules.filter((module) => module !== "index")]
    const options = ["--profile", "esm-only", "--no-color", "--no-emoji", "--entrypoints", ...entryPoints]
    await runBin("attw", [own.tarball, ...options], root)
  })

  const isInstalled = await report.check(`${name} installs with npm`, () => install(pkg, packed, project))
  if (!isInstalled) return
  writeConsumer(pkg, project)
  // The declarations are the same in both, and to check those of libraries takes most of the time.
  const resolutions = [
    ["nodenext", "nodenext", "false"],
    ["bundler", "esnext", "true"]
  ] as const
  await Promise.all(
    resolutions.map(([resolution, module, skipLibCheck]) => {
      const options = ["--module", module, "--moduleResolution", resolution, "--skipLibCheck", skipLibCheck]
      return report.check(`${name} compiles in a consumer (moduleResolution ${resolution})`, () =>
        compile(project, packed.keys(), options, `out/${resolution}`)
      )
    })
  )
  await report.check(`${name} runs in a consumer`, async () => {
    for (const file of readdirSync(join(project, "out/nodenext")))
      await run("node", ["--unhandled-rejections=strict", join("out/nodenext", file)], project)
  })
  await report.check(`${name} is at most ${maxBundleKiB} KiB in a bundle`, () => checkSize(pkg, project))
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

const mapProblems = (content: string, file: string): ReadonlyArray<string> => {
  const map: { readonly sources: ReadonlyArray<string>; readonly sourceRoot?: string } = JSON.parse(
    readFileSync(join(content, file), "utf8")
  )
  return map.sources
    .map((source) => normalize(join(dirname(file), map.sourceRoot ?? "", source)))
    .filter((source) => source.startsWith("..") || !existsSync(join(content, source)))
    .map((source) => `${file} is a map of ${source}, which is not there`)
}

/** Makes a project that depends on the package and on its peers, in the versions the workspace is tested with. */
const install = async (pkg: Package, packed: ReadonlyMap<string, Packed>, project: string): Promise<void> => {
  const dependencies = dependenciesOf(pkg, packed)
  const types = join(pkg.directory, "node_modules/@types/node")
  const devDependencies = existsSync(types) ? { "@types/node": readManifest(types).version } : {}
  mkdirSync(project, { recursive: true })
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "consumer", private: true, type: "module", dependencies, devDependencies })
  )
  await run(
    "npm",
    ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
    project
  )
}

const dependenciesOf = (pkg: Package, packed: ReadonlyMap<string, Packed>): Readonly<Record<string, string>> => {
  const versions: Record<string, string> = {}
  for (const name of [pkg.manifest.name, ...Object.keys(pkg.manifest.peerDependencies ?? {})]) {
    const own = packed.get(name)
    const sibling = publishedPackages().find(({ manifest }) => manifest.name === name)
    if (own !== undefined) versions[name] = `file:${own.tarball}`
    else versions[name] = readManifest(join(pkg.directory, "node_modules", name)).version
    if (sibling !== undefined && sibling.manifest.name !== pkg.manifest.name)
      Object.assign(versions, dependenciesOf(sibling, packed))
  }
  return versions
}

const writeConsumer = ({ directory, manifest: { name }, modules }: Package, project: string): void => {
  cpSync(join(root, "packages/checks/consumer", name), project, { recursive: true })
  const named = modules.filter((module) => module !== "index")
  writeFileSync(
    join(project, "paths.ts"),
    [
      `import * as All from "${name}"`,
      ...named.map((module) => `import * as ${module} from "${name}/${module}"`),
      ...named.map(
        (module) => `if (All.${module} !== ${module}) throw new Error("${module} differs by name and by path")`
      )
    ].join("\n")
  )
  const internal = readdirSync(join(directory, "src/internal"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.replace(/\.ts$/, ""))
  writeFileSync(
    join(project, "internal.ts"),
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
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2022", "DOM", "DOM.Iterable"],
    types: existsSync(join(project, "node_modules/@types/node")) ? ["node"] : [],
    strict: true,
    exactOptionalPropertyTypes: true
  }
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }))
}

// The declarations of libraries are checked, since ours are among them; what is wrong in those of others is not ours.
const compile = async (
  project: string,
  own: Iterable<string>,
  options: ReadonlyArray<string>,
  into: string
): Promise<void> => {
  const output = await runBin("tsc", ["-p", ".", "--pretty", "false", ...options, "--outDir", into], project).catch(
    (error: Error) => error.message
  )
  const ours = [...own].map((name) => `node_modules/${name}/`)
  const errors = output
    .split("\n")
    .filter((line) => /error TS\d+/.test(line))
    .filter((line) => !line.startsWith("node_modules/") || ours.some((path) => line.startsWith(path)))
  none(errors)
  if (!existsSync(join(project, into))) throw new Error(output)
}

const checkSize = async ({ manifest: { name }, modules }: Package, project: string): Promise<void> => {
  const { dependencies, peerDependencies } = readManifest(join(project, "node_modules", name))
  const shipped = modules.filter((module) => module !== "index" && !testKit.has(module))
  const { outputFiles } = await build({
    stdin: { contents: shipped.map((module) => `import "${name}/${module}"`).join("\n"), resolveDir: project },
    bundle: true,
    minify: true,
    // All of it, though nothing here uses any.
    treeShaking: false,
    ignoreAnnotations: true,
    format: "esm",
    platform: "neutral",
    external: Object.keys({ ...dependencies, ...peerDependencies }).concat("node:*"),
    write: false
  })
  let bytes = 0
  for (const { text } of outputFiles) {
    const { code = "" } = await minify(text, {
      module: true,
      ecma: 2022,
      compress: { passes: 3, unused: false, toplevel: false }
    })
    // An import of what is bundled beside it is no more than a name.
    bytes += gzipSync(code.replace(/import(\*as [\w$]+|\{[^}]*\}) ?from"[^"]+";/g, ""), { level: 9 }).length
  }
  const kib = bytes / 1024
  console.log(`      ${name}: ${kib.toFixed(2)} KiB`)
  if (kib > maxBundleKiB) throw new Error(`${name} has grown to ${kib.toFixed(2)} KiB`)
}
