// Tries many more scripts than an ordinary run of the tests: node test/properties/deep.mjs [runs], 100,000 by default.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const runs = Number(process.argv[2] ?? 100_000)
const firstSeed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

// In processes of their own, each of which keeps what its fibers leave behind.
const most = 10_000

const began = performance.now()
let done = 0
let status = 0
for (let seed = firstSeed; done < runs && status === 0; seed++) {
  const now = Math.min(most, runs - done)
  console.log(`${now} scripts from seed ${seed}`)
  status = run(now, seed)
  done += now
  const seconds = (performance.now() - began) / 1000
  console.log(`${done} of ${runs} scripts in ${seconds.toFixed(0)} s, ${(done / seconds).toFixed(0)} a second`)
}
process.exitCode = status

function run(count, seed) {
  const { status } = spawnSync("npx", ["vitest", "run", "--project", "client-service", "test/properties"], {
    cwd: fileURLToPath(new URL("../../../..", import.meta.url)),
    env: { ...process.env, RUNS: String(count), SEED: String(seed) },
    stdio: "inherit"
  })
  return status ?? 1
}
