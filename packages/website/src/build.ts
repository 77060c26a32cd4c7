// Builds the site: `npm run website`. What it is made of lies in the packages; the result is in build/site.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { build } from "vitepress"
import { makeDeclarations } from "./declarations.js"
import { stage } from "./stage.js"
import { built, website } from "./workspace.js"

makeDeclarations()
const pages = stage()
rmSync(join(built, "site"), { recursive: true, force: true })
await build(website)
console.log(`${pages.length} pages are in ${join(built, "site")}`)
