// Serves the site, and what changes of it: `npm run website:dev`.
import { watch } from "node:fs"
import { join } from "node:path"
import { createServer } from "vitepress"
import { makeDeclarations } from "./declarations.js"
import { stage } from "./stage.js"
import { root, website } from "./workspace.js"

makeDeclarations()
stage()
const server = await createServer(website)
await server.listen()
server.printUrls()

let isStaged = true
const changed = (file: string | null): void => {
  if (file === null || !/\.(?:md|ts)$/.test(file) || /(?:^|\/)(?:node_modules|build|dist)\//.test(file) || !isStaged)
    return
  isStaged = false
  setTimeout(() => {
    isStaged = true
    try {
      stage()
    } catch (error) {
      // A page that is half written may be wrong; the next change of it is looked at again.
      console.error(error)
    }
  }, 50)
}
for (const directory of ["packages", "examples"]) {
  watch(join(root, directory), { recursive: true }, (_, file) => changed(file))
}
