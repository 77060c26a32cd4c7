import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..")

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly packageManager?: string
  readonly publishConfig?: {
    /** Is only there where it is published, since the workspace has nothing to link to before it is compiled. */
    readonly bin?: Readonly<Record<string, string>>
  }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export interface Package {
  readonly directory: string
  readonly manifest: Manifest
  /** The modules that users import, without their ending: `index` and those beside it. */
  readonly modules: ReadonlyArray<string>
}

export const readManifest = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))

/** Every package of the workspace that gets published. */
export const publishedPackages = (): ReadonlyArray<Package> =>
  readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name))
    .filter((directory) => existsSync(join(directory, "package.json")))
    .map((directory) => ({ directory, manifest: readManifest(directory) }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ directory, manifest }) => ({ directory, manifest, modules: modulesOf(join(directory, "src")) }))

/** Runs a command, and gives its output; or throws the output, if the command fails or takes too long. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  cwd: string,
  options: { readonly timeoutMillis?: number; readonly environment?: Readonly<Record<string, string>> } = {}
): Promise<string> =>
  new Promise((resolve, reject) => {
    let output = ""
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...options.environment },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.timeoutMillis ?? 300_000
    })
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.on("error", reject)
    child.on("close", (status) => {
      if (status === 0) resolve(output)
      else reject(new Error(`${command} ${args.join(" ")} ended with ${status}\n${output}`))
    })
  })

/** Runs a command of the workspace's own, in a directory of the caller's. */
export const runBin = (name: string, args: ReadonlyArray<string>, cwd: string): Promise<string> =>
  runIn([root, checks], name, args, cwd)

const checks = join(root, "packages/checks")

const runIn = (
  directories: ReadonlyArray<string>,
  name: string,
  args: ReadonlyArray<string>,
  cwd: string
): Promise<string> => {
  const bins = directories.map((directory) => join(directory, "node_modules/.bin", name))
  const bin = bins.find(existsSync)
  if (bin === undefined) throw new Error(`${name} is not installed in the workspace`)
  return run(bin, args, cwd)
}

/** Makes a directory outside the workspace, which is gone when this process is, however it ends. */
export const temporaryDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "client-service-"))
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }))
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))
  return directory
}

export const fromRoot = (path: string): string => relative(root, path)

/** Throws one error with all of the problems, if there are any. */
export const none = (problems: ReadonlyArray<string>): void => {
  if (problems.length > 0) throw new Error(problems.map((problem) => `  ${problem}`).join("\n"))
}

const modulesOf = (src: string): ReadonlyArray<string> =>
  readdirSync(src)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
    .sort()
