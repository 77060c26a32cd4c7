import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { runScript } from "./run.js"
import { script } from "./script.js"
import { ordinaryRuns, settings, timeout } from "./settings.js"

describe("invariants", () => {
  it(
    "hold at every step of any script",
    () => {
      fc.assert(
        fc.property(script, (script) => {
          runScript(script)
        }),
        settings(ordinaryRuns)
      )
    },
    timeout
  )

  it(
    "give the same trace for the same script",
    () => {
      const property = fc.property(script, (script) => {
        expect(runScript(script)).toEqual(runScript(script))
      })
      fc.assert(property, settings(100))
    },
    timeout
  )
})
