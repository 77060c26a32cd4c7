import { writeFileSync } from "node:fs"
import { file, makeDocument } from "./document.js"

writeFileSync(file, await makeDocument())
