import { defineConfig } from "vitest/config"

export default defineConfig({
  test: { name: "examples", include: ["test/**/*.test.ts"], globalSetup: "test/build.ts", testTimeout: 120_000 }
})
