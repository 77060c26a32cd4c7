import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "client-service-node",
    include: ["test/**/*.test.ts"],
    globalSetup: "../servers/src/compiled.ts",
    testTimeout: 30_000
  }
})
