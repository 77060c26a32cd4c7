import { defineWorkspace } from "vitest/config"
import core from "./packages/client-service/vitest.config.js"

const root = "packages/client-service"

// The files of the core's tests that need a process of their own.
const alone = [
  // Uses up all names of services that the metrics of a process tell apart.
  "test/metrics.test.ts",
  // Collect the garbage hundreds of times, which takes the longer the more a process has loaded.
  "test/current.test.ts",
  "test/failures/leaks.test.ts"
]

export default defineWorkspace([
  // To load Effect and the core took more of the processor than most files of the core's tests, which therefore share them,
  // in threads. Each of the other files is a process of its own: they start servers, or look at what is left of them.
  { root, test: { ...core.test, pool: "threads", poolOptions: { threads: { isolate: false } }, exclude: alone } },
  // Also where the others share one, as on the runtimes that `npm run test:runtimes` tries.
  {
    root,
    test: { ...core.test, name: "client-service, alone", include: alone, poolOptions: { forks: { isolate: true } } }
  },
  "packages/client-service-amqp",
  "packages/client-service-cli",
  "packages/client-service-devtools",
  "packages/client-service-driver",
  "packages/client-service-node",
  "packages/client-service-rpc",
  "packages/client-service-redis",
  "packages/client-service-pg",
  "packages/benchmarks",
  "examples"
])
