// Plays all sequences of events up to a length, six by default: npm run test:exhaustive [-- 6]
import { events as alphabet } from "../support/model.js"
import { play } from "./play.js"
import { sequences, stateOf } from "./sequences.js"

const length = Number(process.argv[2] ?? 6)
if (!Number.isInteger(length) || length < 1) throw new Error(`${process.argv[2]} is not a length`)
const began = performance.now()
const states = new Set<string>()
let played = 0
let events = 0
for (const sequence of sequences(length, alphabet)) {
  const problem = play(sequence)
  if (problem !== undefined) {
    console.log(problem)
    process.exitCode = 1
    break
  }
  played += 1
  events += sequence.events.length
  for (const model of sequence.models) states.add(stateOf(model))
}
const seconds = ((performance.now() - began) / 1000).toFixed(0)
console.log(`${played} sequences of up to ${length} events (${events} events, ${states.size} states) in ${seconds} s`)
