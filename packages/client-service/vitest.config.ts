import { defineConfig } from "vitest/config"

export default defineConfig({
  test: { name: "client-service", include: ["test/**/*.test.ts"], testTimeout: 120_000 }
})
