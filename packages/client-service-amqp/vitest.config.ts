import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "client-service-amqp",
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    // Now and then a RabbitMQ that was killed does not come up again.
    retry: 1
  }
})
