import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..")

/** This package. */
export const website = join(root, "packages/website")

/** Where all that is made goes. */
export const built = join(website, "build")

/** A package that is published. */
export interface Package {
  readonly name: string
  readonly description: string
  readonly directory: string
}

/** Every package that is published, the core first. */
export const published = (): ReadonlyArray<Package> =>
  readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name))
    .filter((directory) => isThere(join(directory, "package.json")))
    .map((directory) => ({ directory, ...JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) }))
    .filter(({ private: isPrivate }) => isPrivate !== true)
    .map(({ description, directory, name }) => ({ description, directory, name }))
    .sort((one, other) => (one.name < other.name ? -1 : 1))

export const isThere = existsSync
