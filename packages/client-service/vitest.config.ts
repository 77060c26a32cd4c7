import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "client-service",
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/eventLoop.ts"],
    testTimeout: 120_000
  }
})
