import { defineConfig } from "vitest/config"

export default defineConfig({
  test: { name: "client-service-devtools", include: ["test/**/*.test.ts"], testTimeout: 30_000 }
})
