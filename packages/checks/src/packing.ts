import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { type Package, readManifest, root, run, runBin } from "./workspace.js"

/** A package as it is published. */
export interface Packed {
  readonly tarball: string
  /** The directory it is unpacked in. */
  readonly content: string
}

/** Builds packages, as `pack` takes them: without what an earlier build has left of sources that there are no more. */
export const build = async (packages: ReadonlyArray<Package>): Promise<void> => {
  for (const { directory } of packages) {
    const dist = join(directory, "dist")
    for (const file of existsSync(dist) ? readdirSync(dist, { recursive: true, encoding: "utf8" }) : []) {
      const source = file.replace(/\.(?:js|d\.ts)(?:\.map)?$/, ".ts")
      if (source !== file && !existsSync(join(directory, "src", source))) rmSync(join(dist, file))
    }
  }
  await runBin("tsc", ["-b", ...packages.map(({ directory }) => join(directory, "tsconfig.src.json"))], root)
}

/** Packs packages that are built, and gives what each is by its name. */
export const pack = async (packages: ReadonlyArray<Package>, into: string): Promise<ReadonlyMap<string, Packed>> => {
  const { packageManager = "pnpm" } = readManifest(root)
  const filters = packages.flatMap(({ manifest: { name } }) => ["--filter", name])
  // All at once: to start pnpm takes longer than to pack.
  await run("npx", ["--yes", packageManager, "--recursive", ...filters, "pack", "--pack-destination", into], root, {
    environment: { CLIENT_SERVICE_BUILT: "1" }
  })
  return new Map(
    await Promise.all(
      packages.map(async ({ manifest: { name, version } }) => {
        const tarball = join(into, `${name}-${version}.tgz`)
        const content = join(into, "content", name)
        mkdirSync(content, { recursive: true })
        await run("tar", ["-xzf", tarball, "-C", content, "--strip-components=1"], into)
        return [name, { tarball, content }] as const
      })
    )
  )
}
