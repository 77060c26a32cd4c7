import * as Fs from "node:fs"
import * as Os from "node:os"
import { fileURLToPath } from "node:url"

/** What the measurements were made on. */
export const machine = {
  node: process.version,
  platform: `${Os.type()} ${Os.release()} ${Os.arch()}`,
  cpus: `${Os.cpus().length} x ${Os.cpus()[0]?.model ?? "unknown"}`
}

/** Writes the results of a command as JSON into `build`. */
export const writeResults = (name: string, results: unknown): void => {
  writeFile(new URL(`../build/${name}`, import.meta.url), `${JSON.stringify(results, undefined, 2)}\n`)
}

export const writeFile = (file: URL, content: string): void => {
  Fs.mkdirSync(new URL(".", file), { recursive: true })
  Fs.writeFileSync(file, content)
  console.error(`written to ${fileURLToPath(file)}`)
}
