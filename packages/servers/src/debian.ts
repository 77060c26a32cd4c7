/**
 * Programs that tests run and that are no npm packages. Debian has them.
 */
import { execFile } from "node:child_process"
import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { promisify } from "node:util"

export interface Wanted<Executable extends string> {
  /** The packages of Debian that have them. */
  readonly packages: ReadonlyArray<string>
  /** The names of the executables. */
  readonly executables: ReadonlyArray<Executable>
  /**
   * Where they are, if not on the `PATH`. One part may be `*`, which stands for the highest version that is there, as in
   * `/usr/lib/postgresql/*` + `/bin`.
   */
  readonly directories?: ReadonlyArray<string> | undefined
}

/** Where each executable is; or why it can't be had here. */
export type Installed<Executable extends string> =
  | { readonly isInstalled: true; readonly paths: Readonly<Record<Executable, string>> }
  | { readonly isInstalled: false; readonly reason: string }

/**
 * Finds executables, after installing their packages if they are missing and this process may do so.
 *
 * Where they can't be had it tells why, for tests to be skipped. In CI (`CI=true`) it throws that, since a test that is
 * always skipped there would go unnoticed.
 */
export const install = async <Executable extends string>(
  wanted: Wanted<Executable>
): Promise<Installed<Executable>> => {
  const before = find(wanted)
  if (before.isInstalled) return before
  const obstacle = await aptInstall(wanted.packages)
  const after = find(wanted)
  if (after.isInstalled) return after
  const reason = obstacle === undefined ? after.reason : `${after.reason}: ${obstacle}`
  if (process.env["CI"] === "true") throw new Error(reason)
  return { isInstalled: false, reason }
}

const find = <Executable extends string>(wanted: Wanted<Executable>): Installed<Executable> => {
  const directories = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    "/usr/sbin",
    ...(wanted.directories ?? []).flatMap(expand)
  ]
  const paths: Partial<Record<Executable, string>> = {}
  for (const executable of wanted.executables) {
    const path = directories.map((directory) => join(directory, executable)).find(isExecutable)
    if (path === undefined) return { isInstalled: false, reason: `${executable} cannot be installed here` }
    paths[executable] = path
  }
  return { isInstalled: true, paths: paths as Record<Executable, string> }
}

/** Installs packages, or tells why it can't. */
const aptInstall = async (packages: ReadonlyArray<string>): Promise<string | undefined> => {
  if (process.getuid?.() !== 0) return "that takes root"
  if (!existsSync("/usr/bin/apt-get")) return "there is no apt-get"
  // Tests of several processes may need something at once, and apt-get doesn't wait for the lists as it does for dpkg.
  const lock = join(tmpdir(), "test-servers-apt.lock")
  const apt = (...args: ReadonlyArray<string>) =>
    promisify(execFile)("flock", [lock, "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      maxBuffer: 64 * 1024 * 1024
    })
  // Where the lists can't be fetched, those of before may do.
  const unfetched = await apt("update").then(() => undefined, messageOf)
  return apt("install", "-y", "--no-install-recommends", ...packages).then(
    () => undefined,
    (error: unknown) => [unfetched, messageOf(error)].filter((message) => message !== undefined).join("\n")
  )
}

const expand = (directory: string): ReadonlyArray<string> => {
  const [parent = "", rest] = directory.split("/*")
  if (rest === undefined) return [directory]
  if (!existsSync(parent)) return []
  const versions = readdirSync(parent).sort((one, other) => other.localeCompare(one, "en", { numeric: true }))
  return versions.map((version) => join(parent, version, rest))
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
