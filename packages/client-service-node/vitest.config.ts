import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "client-service-node",
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/build.ts",
    testTimeout: 30_000
  }
})
