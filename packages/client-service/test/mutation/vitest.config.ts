import { defineConfig } from "vitest/config"

// A mutant that makes a test wait for ever is found out by the timeout.
export default defineConfig({ test: { include: ["test/mutation/tests.ts"], testTimeout: 3000 } })
