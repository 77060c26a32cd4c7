// Plays all schedules of up to so many events in which so many fibers are stopped between two of their steps, or one again:
//   npm run test:schedules [-- --game service --events 4 --stops 2]
//   npm run test:schedules -- --game map --schedule "get release invalidate get@57"
import { parseArgs } from "node:util"
import { explorations } from "./many.js"

const { values } = parseArgs({
  options: {
    game: { type: "string" },
    events: { type: "string", default: "4" },
    stops: { type: "string", default: "2" },
    schedule: { type: "string" }
  }
})

const natural = (text: string): number => {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0) return number
  throw new Error(`${text} is not a natural number`)
}

const limits = { events: natural(values.events), stops: natural(values.stops) }
const games = explorations.filter(({ name }) => values.game === undefined || name === values.game)
if (games.length === 0) throw new Error(`${values.game} is none of ${explorations.map(({ name }) => name)}`)

for (const { name, problems, repeat } of games) {
  if (values.schedule !== undefined) {
    console.log(repeat(values.schedule))
    continue
  }
  const began = performance.now()
  let played = 0
  const tell = () => console.log(`${name}: ${played} schedules in ${((performance.now() - began) / 1000).toFixed(0)} s`)
  for (const problem of problems(limits)) {
    played += 1
    if (played % 10_000 === 0) tell()
    if (problem === undefined) continue
    console.log(problem)
    process.exitCode = 1
    break
  }
  tell()
}
