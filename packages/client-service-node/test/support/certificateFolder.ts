import * as Fs from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as serverProcess from "test-servers/serverProcess"

/** A folder for files, which is removed in the end. */
export const folder = serverProcess.temporaryDirectory

type Files = Readonly<Record<string, string>>

/** Writes files, as who gives them no thought: each is empty for a moment. */
export const write = (folder: string, files: Files): void => {
  Fs.mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) Fs.writeFileSync(join(folder, name), text)
}

/** Has a link lead elsewhere, at one go. */
export const link = (to: string, path: string): void => {
  Fs.symlinkSync(to, `${path}.new`)
  Fs.renameSync(`${path}.new`, path)
}

/** A folder that the kubelet mounts a secret at, and how it puts another in the place of that. */
export const secret = Effect.map(folder, (folder) => {
  let generation = 0
  const mount = (files: Files): void => {
    const before = `..${generation}`
    generation += 1
    write(join(folder, `..${generation}`), files)
    link(`..${generation}`, join(folder, "..data"))
    for (const name of Object.keys(files)) {
      if (!Fs.existsSync(join(folder, name))) Fs.symlinkSync(join("..data", name), join(folder, name))
    }
    Fs.rmSync(join(folder, before), { recursive: true, force: true })
  }
  return { folder, mount }
})

/** How many files and folders this process watches, which Linux tells. */
export const watches = (): number =>
  Fs.readdirSync("/proc/self/fdinfo")
    .map((fd) => {
      try {
        return Fs.readFileSync(join("/proc/self/fdinfo", fd), "utf8")
      } catch {
        return ""
      }
    })
    .flatMap((info) => info.match(/^inotify /gm) ?? []).length
