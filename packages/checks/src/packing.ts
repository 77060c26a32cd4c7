import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type Package, readManifest, root, run } from "./workspace.js"

/** A package as it is published. */
export interface Packed {
  readonly tarball: string
  /** The directory it is unpacked in. */
  readonly content: string
}

export const pack = async ({ directory, manifest }: Package, into: string): Promise<Packed> => {
  const { packageManager = "pnpm" } = readManifest(root)
  await run("npx", ["--yes", packageManager, "pack", "--pack-destination", into], directory)
  const tarball = join(into, `${manifest.name}-${manifest.version}.tgz`)
  const content = join(into, "content", manifest.name)
  mkdirSync(content, { recursive: true })
  await run("tar", ["-xzf", tarball, "-C", content, "--strip-components=1"], into)
  return { tarball, content }
}
