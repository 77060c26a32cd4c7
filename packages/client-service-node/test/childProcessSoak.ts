// Kills and stops the servers of the soak of child processes as often as a deep run does: childProcessSoak.ts [kills]
// [stops], 1,000 and 100 by default.
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const [, , KILLS = "1000", STOPS = "100"] = process.argv
const { SEED = String(Date.now() % 2 ** 31) } = process.env
const { status } = spawnSync(
  "npx",
  ["vitest", "run", "--project", "client-service-node", "test/childProcessSoak.test.ts"],
  {
    cwd: fileURLToPath(new URL("../../..", import.meta.url)),
    env: { ...process.env, KILLS, STOPS, SEED },
    stdio: "inherit"
  }
)
process.exitCode = status ?? 1
