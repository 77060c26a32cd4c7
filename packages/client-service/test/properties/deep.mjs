// Tries many more scripts than an ordinary run of the tests: node test/properties/deep.mjs [runs], 100,000 by default.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const runs = Number(process.argv[2] ?? 100_000)
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

console.log(`${runs} histories from seed ${seed}`)
const began = performance.now()
const { status } = spawnSync("npx", ["vitest", "run", "--project", "client-service", "test/properties"], {
  cwd: fileURLToPath(new URL("../../../..", import.meta.url)),
  env: { ...process.env, RUNS: String(runs), SEED: String(seed) },
  stdio: "inherit"
})
const seconds = (performance.now() - began) / 1000
console.log(`${runs} histories in ${seconds.toFixed(0)} s, ${(runs / seconds).toFixed(0)} a second`)
process.exitCode = status ?? 1
