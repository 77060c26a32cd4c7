import { readFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"
import { minify } from "terser"
import type { Report } from "./Report.js"
import { type Package, readManifest } from "./workspace.js"

/** What a bundle may weigh, minified and compressed, without what the package depends on. */
interface Budget {
  readonly title: string
  readonly maxKiB: number
  readonly program: string
  /** Whether what the program does not use counts too. */
  readonly isWhole: boolean
}

/** Checks how much of a bundle is a package's, in a project that it is installed in. */
export const checkBundles = async (report: Report, pkg: Package, project: string): Promise<void> => {
  const { name } = pkg.manifest
  for (const budget of [wholePackage(pkg), ...(name === core ? [framing, smallProgram, observedProgram] : [])]) {
    await report.check(`${budget.title} is at most ${budget.maxKiB} KiB in a bundle`, async () => {
      const kib = (await bytesOf(budget, pkg, project)) / 1024
      console.log(`      ${budget.title}: ${kib.toFixed(2)} KiB`)
      if (kib > budget.maxKiB) throw new Error(`${budget.title} has grown to ${kib.toFixed(2)} KiB`)
      if (budget === smallProgram && !documentation(pkg).includes(`at most ${budget.maxKiB} KiB`))
        throw new Error(`docs/options.md does not tell of ${budget.maxKiB} KiB`)
    })
  }
}

const documentation = ({ directory }: Package): string => readFileSync(join(directory, "docs/options.md"), "utf8")

const core = "effect-client-service"

/** It has a whole page in it. */
const devtools = "effect-client-service-devtools"

/** Modules that only those programs carry that observe their services. */
const observing = new Set(["ClientServices", "Health", "Telemetry"])

/** Modules for tests, which no application bundles. */
const testKit = new Set(["TestEndpoint", "TestTransport", "EndpointRuleBroken", "FaultProxy"])

/** Modules that have a line of their own. */
const frames = ["Exchange", "FrameError", "Framing"]

const wholePackage = ({ manifest: { name }, modules }: Package): Budget => ({
  title: `${name}, all but the test kit${name === core ? ", frames and what observes services" : ""},`,
  maxKiB: name === core ? 24.5 : name === devtools ? 16 : 15.1,
  program: modules
    .filter(
      (module) => module !== "index" && !testKit.has(module) && !observing.has(module) && !frames.includes(module)
    )
    .map((module) => `import "${name}/${module}"`)
    .join("\n"),
  isWhole: true
})

/** With what they share with the rest, such as the errors of a transport. */
const framing: Budget = {
  title: `Framing and Exchange of ${core}, by themselves,`,
  maxKiB: 9.1,
  program: frames.map((module) => `import "${core}/${module}"`).join("\n"),
  isWhole: true
}

// By path, since esbuild takes all of a namespace that comes out of the index.
const smallProgram: Budget = {
  title: `a program with make of ${core} and an endpoint of its own`,
  maxKiB: 14.6,
  program: `
    import * as ClientService from "${core}/ClientService"
    import * as Endpoint from "${core}/Endpoint"
    export const program = ClientService.make({
      endpoint: Endpoint.make({ name: "mine", connect: (signal) => connect(signal) })
    })`,
  isWhole: false
}

const observedProgram: Budget = {
  title: `the same with Telemetry and Health of ${core}`,
  maxKiB: 17.1,
  program: `
    import * as Health from "${core}/Health"
    import * as Telemetry from "${core}/Telemetry"
    export const observed = [Health.layer, Health.routes, Telemetry.layer]${smallProgram.program}`,
  isWhole: false
}

const bytesOf = async (
  { isWhole, program }: Budget,
  { manifest: { name } }: Package,
  project: string
): Promise<number> => {
  const { dependencies, peerDependencies } = readManifest(join(project, "node_modules", name))
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: project },
    bundle: true,
    minify: true,
    treeShaking: !isWhole,
    ignoreAnnotations: isWhole,
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
      compress: isWhole ? { passes: 3, unused: false, toplevel: false } : { passes: 3 }
    })
    // An import of what is bundled beside it is no more than a name.
    bytes += gzipSync(code.replace(/import(\*as [\w$]+|\{[^}]*\}) ?from"[^"]+";/g, ""), { level: 9 }).length
  }
  return bytes
}
