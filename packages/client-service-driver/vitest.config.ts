import { defineConfig } from "vitest/config"

export default defineConfig({
  test: { name: "client-service-driver", include: ["test/**/*.test.ts"], testTimeout: 30_000 }
})
