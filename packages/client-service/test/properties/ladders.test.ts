import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { runScript } from "./run.js"
import { accepted, type Outcome, Script, type Step } from "./script.js"

const cycles = 50

const does = (event: Step["event"]): Step => ({ event, tasks: Infinity })

const start = does({ _tag: "command", command: "start" })

/** The delays that a service that runs the script waits for. */
const delays = (script: Script): ReadonlyArray<number> =>
  runScript(script).flatMap((entry) => {
    const delay = /"millis":(\d+)/.exec(entry)?.[1]
    return entry.includes('"Waiting"') && delay !== undefined ? [Number(delay)] : []
  })

const ladder = fc
  .array(fc.integer({ min: 1, max: 60_000 }), { minLength: 2, maxLength: 10 })
  .map((delays) => [...new Set(delays)].sort((a, b) => a - b))

describe("the delay before an attempt", () => {
  it("is the policy's first after each connection that was long enough", () => {
    const property = fc.property(
      ladder,
      fc.constantFrom(0, 1, 5000),
      fc.array(fc.integer({ min: 0, max: 3_600_000 }), { minLength: cycles, maxLength: cycles }),
      fc.boolean(),
      (policy, resetAfter, extra, error) => {
        const cycle = (extra: number) => [
          does({ _tag: "pass", millis: resetAfter + extra }),
          does({ _tag: "lose", age: 0, error }),
          does({ _tag: "pass", millis: Math.max(...policy) })
        ]
        const options = { connectTimeout: 1000, closeTimeout: 1000, resetAfter, policy }
        const script = new Script(options, [], [start, ...extra.flatMap(cycle)], [])
        expect(delays(script)).toEqual(extra.map(() => policy[0]))
      }
    )
    fc.assert(property, { numRuns: 10 })
  }, 60_000)

  it("climbs the ladder, whatever the peer accepts and drops too early", () => {
    const property = fc.property(
      ladder,
      fc.array(
        fc.record({
          lasts: fc.option(fc.integer({ min: 0, max: 4999 }), { nil: undefined }),
          error: fc.boolean()
        }),
        { minLength: 1, maxLength: cycles }
      ),
      (policy, losses) => {
        const outcomes = losses.map(
          ({ error, lasts }): Outcome =>
            lasts === undefined
              ? { ...accepted, connect: { ...accepted.connect, ends: "fails" } }
              : { ...accepted, drop: { after: lasts, error } }
        )
        const options = { connectTimeout: 1000, closeTimeout: 1000, resetAfter: 5000, policy }
        const script = new Script(options, outcomes, [start, does({ _tag: "pass", millis: 1e8 })], [])
        expect(delays(script)).toEqual(losses.map((_, index) => policy[Math.min(index, policy.length - 1)]))
      }
    )
    fc.assert(property, { numRuns: 40 })
  }, 60_000)
})
