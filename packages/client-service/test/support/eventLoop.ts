import { setImmediate } from "node:timers/promises"
import { afterEach } from "vitest"

// Tests whose time is not that of the system never leave the event loop to anybody, and the runner of the tests takes a
// process that it hears nothing of for a minute for lost.
afterEach(async () => {
  await setImmediate()
  await setImmediate()
})
