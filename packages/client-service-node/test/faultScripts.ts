// Tries many more scripts than an ordinary run of the tests: faultScripts.ts [runs], 1,000 by default.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const { SEED = String(Date.now() % 2 ** 31) } = process.env
const { status } = spawnSync(
  "npx",
  ["vitest", "run", "--project", "client-service-node", "test/faultScripts.test.ts"],
  {
    cwd: fileURLToPath(new URL("../../..", import.meta.url)),
    env: { ...process.env, RUNS: process.argv[2] ?? "1000", SEED },
    stdio: "inherit"
  }
)
process.exitCode = status ?? 1
