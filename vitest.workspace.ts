import { defineWorkspace } from "vitest/config"

export default defineWorkspace([
  "packages/client-service",
  "packages/client-service-node",
  "packages/benchmarks",
  "examples"
])
