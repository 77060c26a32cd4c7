import { defineWorkspace } from "vitest/config"
import core from "./packages/client-service/vitest.config.js"
import amqp from "./packages/client-service-amqp/vitest.config.js"
import cli from "./packages/client-service-cli/vitest.config.js"
import devtools from "./packages/client-service-devtools/vitest.config.js"
import driver from "./packages/client-service-driver/vitest.config.js"
import node from "./packages/client-service-node/vitest.config.js"
import pg from "./packages/client-service-pg/vitest.config.js"
import redis from "./packages/client-service-redis/vitest.config.js"
import rpc from "./packages/client-service-rpc/vitest.config.js"

const configs = {
  "client-service": core,
  "client-service-amqp": amqp,
  "client-service-cli": cli,
  "client-service-devtools": devtools,
  "client-service-driver": driver,
  "client-service-node": node,
  "client-service-pg": pg,
  "client-service-redis": redis,
  "client-service-rpc": rpc
}

type Files = Readonly<Record<string, ReadonlyArray<string>>>

// The files of tests that need a process of their own. Where nothing else is said, they count what is left in it.
const alone: Files = {
  "client-service": [
    // Uses up all names of services that the metrics of a process tell apart.
    "metrics",
    // Collect the garbage hundreds of times, which takes the longer the more a process has loaded.
    "current",
    "failures/leaks"
  ],
  "client-service-amqp": ["Amqp"],
  "client-service-node": ["leaks"],
  "client-service-pg": ["PgService"],
  "client-service-redis": ["loss"]
}

// The files of the other packages that can share what they load with each other: they start no server, change nothing of the
// process, and count nothing that is left in it.
const shared: Files = {
  "client-service-amqp": ["maxWait", "options", "publisher"],
  "client-service-cli": ["address", "messages", "send", "wholeLines"],
  "client-service-devtools": ["Devtools", "axis", "bars", "events", "history", "style"],
  "client-service-driver": [
    "Address",
    "Credential",
    "Delays",
    "DriverError",
    "DriverLayer",
    "Places",
    "Refusal",
    "ServerUrl",
    "Validate"
  ],
  "client-service-node": [
    "ConnectError",
    "FaultProxy",
    "addresses",
    "endpointTypes",
    "kinds/causes",
    "kinds/deadlines",
    "kinds/dial",
    "kinds/names",
    "kinds/peer",
    "kinds/received",
    "kinds/takeover",
    "kinds/webSocketErrors",
    "options",
    "tls",
    "transport",
    "webSocket"
  ],
  "client-service-pg": ["PgError", "options"],
  "client-service-redis": ["options", "types"],
  "client-service-rpc": ["RpcConnection", "endToEnd", "types"]
}

// All others share a process where they ask something of it that a thread does not have.
const inThreads: ReadonlySet<string> = new Set([
  "client-service",
  "client-service-amqp",
  "client-service-pg",
  "client-service-redis",
  "client-service-rpc"
])

const testsOf = (names: ReadonlyArray<string> = []) => names.map((name) => `test/${name}.test.ts`)

// To load Effect and the core takes more of the processor than most files of tests, which therefore share them with the others
// of their project (with `--poolOptions.threads.isolate=false` and the same of `forks`, which Vitest heeds only there).
export default defineWorkspace([
  ...Object.entries(configs).flatMap(([name, { test }]) => {
    const root = `packages/${name}`
    const pool = inThreads.has(name) ? ("threads" as const) : ("forks" as const)
    const own = testsOf(alone[name])
    return [
      { root, test: { ...test, pool, exclude: [...own, ...testsOf(shared[name])] } },
      ...own.map((file) => ({
        root,
        // None of them starts a program.
        test: {
          ...test,
          globalSetup: [],
          name: `${name}, alone: ${file.replace(/^.*\/|\.test\.ts$/g, "")}`,
          include: [file]
        }
      }))
    ]
  }),
  {
    root: "packages",
    test: {
      name: "sharing",
      include: Object.entries(shared).flatMap(([name, files]) => testsOf(files).map((file) => `${name}/${file}`)),
      pool: "threads",
      testTimeout: 60_000
    }
  },
  "packages/benchmarks",
  "examples"
])
