import { defineWorkspace } from "vitest/config"

export default defineWorkspace([
  "packages/client-service",
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
