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
const counting: Readonly<Record<string, string>> = {
  "client-service-amqp": "Amqp",
  "client-service-pg": "PgService",
  "client-service-redis": "loss"
}

const project = <Test extends object>(name: string, test: Test | undefined) => ({
  root: `packages/client-service-${name}`,
  test: { ...test, exclude: testsOf([...(shared[`client-service-${name}`] ?? []), ...countingOf(name)]) }
})

/** A project of one file, which therefore shares its process with no other. */
const projectAlone = (root: string, test: object | undefined, file: string) => ({
  root,
  test: {
    ...test,
    name: `${root.replace("packages/", "")}, alone: ${file.replace(/^.*\/|\.test\.ts$/g, "")}`,
    include: [file]
  }
})

const countingOf = (name: string) => [counting[`client-service-${name}`] ?? []].flat()

const testsOf = (names: ReadonlyArray<string>) => names.map((name) => `test/${name}.test.ts`)

// To load Effect and the core takes more of the processor than most files of tests, which therefore share them with the others
// of their project, in a thread or a process (with `--poolOptions.threads.isolate=false` and the same of `forks`, which Vitest
// heeds only there). In processes are those that ask something of theirs that a thread does not have.
export default defineWorkspace([
  { root, test: { ...core.test, pool: "threads", exclude: alone } },
  ...alone.map((file) => projectAlone(root, core.test, file)),
  {
    root: "packages",
    test: {
      name: "sharing",
      include: Object.entries(shared).flatMap(([name, files]) => testsOf(files).map((file) => `${name}/${file}`)),
      pool: "threads",
      testTimeout: 60_000
    }
  },
  ...Object.entries({ amqp, pg, redis, rpc }).map(([name, { test }]) => ({
    ...project(name, test),
    test: { ...project(name, test).test, pool: "threads" as const }
  })),
  ...Object.entries({ amqp, pg, redis }).flatMap(([name, { test }]) =>
    testsOf(countingOf(name)).map((file) => projectAlone(`packages/client-service-${name}`, test, file))
  ),
  ...Object.entries({ cli, devtools, driver, node }).map(([name, { test }]) => project(name, test)),
  "packages/benchmarks",
  "examples"
])
