import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "client-service-cli",
    include: ["test/**/*.test.ts"],
    globalSetup: "../servers/src/compiled.ts",
    testTimeout: 60_000
  }
})
