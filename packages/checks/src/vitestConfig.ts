// Of all tests together, which `npm test` runs.
import { fileURLToPath } from "node:url"
import { LongestFirst } from "./longestFirst.js"

export default {
  root: fileURLToPath(new URL("../../..", import.meta.url)),
  test: { sequence: { sequencer: LongestFirst } }
}
