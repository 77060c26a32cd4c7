import * as Clock from "effect/Clock"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import type { Time } from "./simulation.js"

/** The time of `TestClock`, which waits some real milliseconds whenever anything is due. */
export const testTime = (): Time => {
  const runtime = ManagedRuntime.make(TestContext.TestContext)
  return {
    get now() {
      return runtime.runSync(Clock.currentTimeMillis)
    },
    run: (effect) => runtime.runPromise(effect),
    pass: (millis) => runtime.runPromise(TestClock.adjust(millis))
  }
}
