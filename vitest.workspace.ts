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

const root = "packages/client-service"

// The files of the core's tests that need a process of their own.
const alone = [
  // Uses up all names of services that the metrics of a process tell apart.
  "test/metrics.test.ts",
  // Collect the garbage hundreds of times, which takes the longer the more a process has loaded.
  "test/current.test.ts",
  "test/failures/leaks.test.ts"
]

// The files of the other packages' tests that can share what they load, too: they start no server, change nothing of the
// process, and count nothing that is left in it.
const shared: Readonly<Record<string, ReadonlyArray<string>>> = {
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

// Those of the packages with servers that count what is left in the process.
const counting: Readonly<Record<string, ReadonlyArray<string>>> = {
  "client-service-amqp": ["Amqp"],
  "client-service-pg": ["PgService"],
  "client-service-redis": ["loss"]
}

const project = <Test extends object>(name: string, test: Test | undefined) => ({
  root: `packages/client-service-${name}`,
  test: { ...test, exclude: testsOf([shared, counting].flatMap((files) => files[`client-service-${name}`] ?? [])) }
})

const projectAlone = (name: string, test: object | undefined) => ({
  root: `packages/client-service-${name}`,
  test: { ...test, name: `client-service-${name}, alone`, include: testsOf(counting[`client-service-${name}`] ?? []) }
})

const testsOf = (names: ReadonlyArray<string>) => names.map((name) => `test/${name}.test.ts`)

export default defineWorkspace([
  // To load Effect and the core took more of the processor than most files of the core's tests, which therefore share them,
  // in threads (with --poolOptions.threads.isolate=false, which Vitest heeds only there). Each of the files in processes is one
  // of its own: they start programs, or look at what is left of them.
  { root, test: { ...core.test, pool: "threads", exclude: alone } },
  // In processes, which are not shared but with --no-isolate: Vitest does not heed what a project says of that, so
  // `npm run test:runtimes` runs these by themselves.
  { root, test: { ...core.test, name: "client-service, alone", include: alone } },
  {
    root: "packages",
    test: {
      name: "sharing",
      include: Object.entries(shared).flatMap(([name, files]) => testsOf(files).map((file) => `${name}/${file}`)),
      pool: "threads",
      testTimeout: 60_000
    }
  },
  // They start servers, but ask nothing of their process that a thread does not have, so most share what they load, too.
  ...Object.entries({ amqp, pg, redis, rpc }).map(([name, { test }]) => ({
    ...project(name, test),
    test: { ...project(name, test).test, pool: "threads" as const }
  })),
  ...Object.entries({ amqp, pg, redis }).map(([name, { test }]) => projectAlone(name, test)),
  ...Object.entries({ cli, devtools, driver, node }).map(([name, { test }]) => project(name, test)),
  "packages/benchmarks",
  "examples"
])
