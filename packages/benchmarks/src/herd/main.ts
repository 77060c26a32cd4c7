/** Has thousands of services lose their server at once, under one policy after the other, and tells how they come back. */
import { columns, markdown } from "../grid.js"
import { optionsOf } from "../options.js"
import * as Progress from "../progress.js"
import { writeFile, writeResults } from "../results.js"
import { percent, plot, secondsOf } from "./plot.js"
import { type Contender, contenders, ours } from "./policies.js"
import { backWithin, peakShare, type Recovery, recover } from "./simulation.js"
import { testTime } from "./testTime.js"

const usage = `Usage: npm run bench:herd -- [--test-clock] [--markdown] [--help]

5,000 services lose their server at one instant, and it is down for a minute of virtual time. Prints for each retry policy
how they come back, and writes it to packages/benchmarks/build/herd.json and packages/benchmarks/herd.svg. The same comes
out every time.

  --test-clock  on TestClock, which takes ten minutes, for the default policy alone; writes nothing
  --markdown    prints the table in Markdown
  --help        this text`

const options = optionsOf(usage, {
  "test-clock": { type: "boolean", default: false },
  markdown: { type: "boolean", default: false },
  help: { type: "boolean", default: false }
})
if (options.help) {
  console.log(usage)
} else {
  const herd = { clients: 5000, outage: 60_000, seed: "herd" }
  const results: Array<Contender & { readonly recovery: Recovery }> = []
  const onTestClock = options["test-clock"]
  const wanted = onTestClock ? [ours] : contenders
  for (const contender of wanted) {
    Progress.begun(contender.name, results.length + 1, wanted.length)
    const time = onTestClock ? testTime() : undefined
    results.push({ ...contender, recovery: await recover({ ...herd, policy: contender.policy, time }) })
  }
  const head = ["policy", "attempts a client makes", "most admitted in any 100 ms", "back: half", "99 %", "all"]
  const lines = results.map(({ name, recovery }) => [
    name,
    recovery.attemptsPerClient.toFixed(1),
    percent(peakShare(recovery, 100)),
    ...[0.5, 0.99, 1].map((share) => secondsOf(backWithin(recovery, share)))
  ])
  console.log(options.markdown ? markdown(head, lines) : columns(head, lines))
  if (!onTestClock) write(herd, results)
}

function write(herd: object, results: ReadonlyArray<Contender & { readonly recovery: Recovery }>): void {
  writeResults("herd.json", {
    ...herd,
    policies: results.map(({ name, recovery }) => ({
      name,
      attemptsPerClient: recovery.attemptsPerClient,
      mostIn100Millis: peakShare(recovery, 100),
      millisUntilBack: {
        half: backWithin(recovery, 0.5),
        "99 %": backWithin(recovery, 0.99),
        all: backWithin(recovery, 1)
      },
      admissions: recovery.admissions
    }))
  })
  const curves = results.map(({ name, policy, recovery }) => ({ name, recovery, isOurs: policy === ours.policy }))
  const labels = {
    title: "How a herd of clients comes back",
    subtitle: "5,000 services lose their server at one instant. It is down for 60 s, and refuses attempts at once."
  }
  writeFile(new URL("../../herd.svg", import.meta.url), plot(curves, labels))
}
