import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "examples",
    include: ["test/**/*.test.ts"],
    globalSetup: "../packages/servers/src/compiled.ts",
    pool: "threads",
    testTimeout: 120_000
  }
})
