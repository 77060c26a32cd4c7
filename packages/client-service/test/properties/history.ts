import { isDeepStrictEqual } from "node:util"
import fc from "fast-check"
import { playAtRandom } from "../schedules/atRandom.js"
import { map } from "../schedules/map.js"
import { runScript } from "./run.js"
import { type Script, script } from "./script.js"

// Without the bias to small values that the first of many runs have: each seed is the first and only run.
const scripts = fc.noBias(script)

/** The script of a history. */
export const scriptOf = (seed: number): Script => {
  const [script] = fc.sample(scripts, { seed, numRuns: 1 })
  if (script === undefined) throw new Error(`no script for seed ${seed}`)
  return script
}

/**
 * Runs the history of a seed, of a service and of a `ClientServiceMap`. The service runs every tenth again, since the same
 * script has to give the same trace. If it violates an invariant, tells of the smallest script that does, and of what
 * happened then.
 */
export const problemOf = (seed: number): string | undefined => {
  const wrong = playAtRandom(map, seed)
  if (wrong !== undefined) return `${wrong}\nnpm run test:deep -- --seed ${seed} runs it again`
  const property = fc.property(scripts, (script) => {
    const trace = runScript(script)
    if (seed % 10 > 0 || isDeepStrictEqual(runScript(script), trace)) return
    throw new Error("the same script gives another trace")
  })
  const { counterexample, errorInstance, failed } = fc.check(property, { seed, numRuns: 1 })
  if (!failed) return undefined
  return [
    `history ${seed} violates an invariant; npm run test:deep -- --seed ${seed} runs it again`,
    `The smallest script that does:${counterexample}`,
    errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  ].join("\n")
}
