// Tries many more scripts than an ordinary run of the tests: node test/properties/deep.mjs [runs], 100,000 by default.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const runs = process.argv[2] ?? "100000"
const seed = process.env.SEED ?? String(Date.now() % 2 ** 31)
const began = performance.now()
console.log(`${runs} scripts from seed ${seed}`)
const { status } = spawnSync("npx", ["vitest", "run", "--project", "client-service", "test/properties"], {
  cwd: fileURLToPath(new URL("../../../..", import.meta.url)),
  env: { ...process.env, RUNS: runs, SEED: seed },
  stdio: "inherit"
})
const seconds = (performance.now() - began) / 1000
console.log(
  `${runs} scripts in ${seconds.toFixed(0)} s, ${(Number(runs) / seconds).toFixed(0)} a second, all properties`
)
process.exitCode = status ?? 1
