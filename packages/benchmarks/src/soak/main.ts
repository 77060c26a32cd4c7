/** Does things very often, and tells whether anything of it is left behind. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { columns, markdown } from "../grid.js"
import { optionsOf } from "../options.js"
import * as Progress from "../progress.js"
import { machine, writeResults } from "../results.js"
import { cancelledWaiters } from "./cancelledWaiters.js"
import { longOutage } from "./longOutage.js"
import { reconnectsInMemory, reconnectsOverTcp, stopsAndStarts } from "./reconnects.js"
import { type Figure, figuresOf, type Soak } from "./soak.js"

const soaks: ReadonlyArray<Soak> = [reconnectsInMemory, reconnectsOverTcp, cancelledWaiters, stopsAndStarts, longOutage]

const usage = `Usage: npm run soak -- [--only <text>] [--markdown] [--help]

Does things very often, and looks at what could be left behind: heap, fibers, listeners, handles and file descriptors.
Prints a table, and writes it with all samples to packages/benchmarks/build/soak.json. It takes some minutes; what is under
way is told on stderr. The exit code is 1 if anything is left behind.

  --only <text>  only those with this text in their names
  --markdown     prints the table in Markdown
  --help         this text

Soaks:
  ${soaks.map(({ name }) => name).join("\n  ")}`

const options = optionsOf(usage, {
  only: { type: "string", default: "" },
  markdown: { type: "boolean", default: false },
  help: { type: "boolean", default: false }
})
if (options.help) {
  console.log(usage)
} else {
  const wanted = soaks.filter(({ name }) => name.includes(options.only))
  if (wanted.length === 0) options.refuse(`no soak has "${options.only}" in its name`)

  const results = await Effect.runPromise(Effect.forEach(wanted, (soak, index) => run(soak, index + 1, wanted.length)))
  const figures = results.flatMap(({ figures }) => figures)
  const head = ["soak", "figure", "first", "last", "slope ± standard error", "verdict"]
  console.log(options.markdown ? markdown(head, figures.map(cells)) : columns(head, figures.map(cells)))
  writeResults("soak.json", { machine, soaks: results })
  if (figures.some(({ holds }) => !holds)) process.exitCode = 1
}

function run(soak: Soak, number: number, total: number) {
  return Effect.suspend(() => {
    Progress.begun(soak.name, number, total)
    return Effect.scoped(soak.samples)
  }).pipe(
    Logger.withMinimumLogLevel(LogLevel.None),
    Effect.timed,
    Effect.map(([duration, samples]) => {
      const figures = figuresOf(soak, samples)
      Progress.ended(figures.every(({ holds }) => holds) ? "holds" : "does not hold", duration)
      return { name: soak.name, samples, figures }
    })
  )
}

function cells({ figure, first, holds, last, line, operations, soak, unit }: Figure): ReadonlyArray<string> {
  const value = (value: number) => (unit === "B" ? `${(value / 2 ** 20).toFixed(2)} MiB` : fixed(value))
  const slope = [line.slope, line.error].map((by) => fixed(by * 1000)).join(" ± ")
  return [
    soak,
    figure,
    value(first),
    value(last),
    `${slope}${unit === "" ? "" : ` ${unit}`} per 1,000 ${operations}`,
    holds ? "holds" : "FAILS"
  ]
}

function fixed(value: number): string {
  // No zero has a sign.
  return (Math.round(value * 10) / 10 + 0).toLocaleString("en")
}
