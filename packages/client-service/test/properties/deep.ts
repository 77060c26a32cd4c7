// Tries many more histories than an ordinary run of the tests, or runs one again:
//   npm run test:deep [-- 100000]
//   npm run test:deep -- --seed 42
// Or a history of the playground of the website, which its link has:
//   npm run test:deep -- --seed 42 --script "start refuse 10s accept 8h drop"
import { parseArgs } from "node:util"
import { play } from "../playground/play.js"
import { problemOf, scriptOf } from "./history.js"
import { runScript } from "./run.js"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string" }, script: { type: "string" } }
})

const natural = (text: string): number => {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0) return number
  throw new Error(`${text} is not a natural number`)
}

/** Prints the script and the trace of a history. */
const repeat = (seed: number): void => {
  const script = scriptOf(seed)
  console.log(`history ${seed}\n${script}`)
  try {
    console.log(runScript(script).join("\n"))
  } catch (error) {
    console.log(error instanceof Error ? error.message : error)
  }
}

const tryMany = (histories: number): void => {
  const first = Date.now() % 2 ** 31
  console.log(`${histories} histories from seed ${first}`)
  const began = performance.now()
  for (let done = 1; done <= histories; done++) {
    fail(problemOf(first + done - 1))
    if (process.exitCode !== undefined) return
    if (done % 5000 > 0 && done < histories) continue
    const seconds = (performance.now() - began) / 1000
    const megabytes = process.memoryUsage().heapUsed / 2 ** 20
    const speed = `${(done / seconds).toFixed(0)} histories a second`
    console.log(`${done} in ${seconds.toFixed(0)} s, ${speed}, ${megabytes.toFixed(0)} MB`)
  }
}

const fail = (problem: string | undefined): void => {
  if (problem === undefined) return
  console.log(problem)
  process.exitCode = 1
}

/** Prints the trace of a script, and what is wrong with it. */
const replay = (seed: number, script: string): void => {
  const { problems, trace } = play(seed, script)
  console.log(trace.join("\n"))
  fail(problems[0])
}

if (values.script !== undefined) {
  replay(natural(values.seed ?? "1"), values.script)
} else if (values.seed === undefined) {
  tryMany(natural(positionals[0] ?? "100000"))
} else {
  const seed = natural(values.seed)
  repeat(seed)
  fail(problemOf(seed))
}
