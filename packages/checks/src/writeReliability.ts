// Writes the table of failures into the document.
import { readFileSync, writeFileSync } from "node:fs"
import { document, withTable } from "./reliability.js"

writeFileSync(document, withTable(readFileSync(document, "utf8")))
