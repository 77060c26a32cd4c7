/** Has thousands of services lose their server at once, under one policy after the other, and tells how they come back. */
import { columns, markdown } from "../grid.js"
import { optionsOf } from "../options.js"
import * as Progress from "../progress.js"
import { writeFile, writeResults } from "../results.js"
import { percent, plot, secondsOf } from "./plot.js"
import { type Contender, contenders, ours, unjittered } from "./policies.js"
import { backWithin, peakShare, type Recovery, recover } from "./simulation.js"
import { testTime } from "./testTime.js"

const usage = `Usage: npm run bench:herd -- [--outages] [--test-clock] [--markdown] [--help]

5,000 services lose their server at one instant, and it is down for a minute of virtual time. Prints for each retry policy
how they come back, and writes it to packages/benchmarks/build/herd.json and packages/benchmarks/herd.svg. The same comes
out every time.

  --outages     for each policy with jitter, how soon the services are back after outages of 1, 3, 10, 60 and 600 seconds;
                writes nothing
  --test-clock  on TestClock, which takes ten minutes, for the default policy alone; writes nothing
  --markdown    prints the table in Markdown
  --help        this text`

const options = optionsOf(usage, {
  outages: { type: "boolean", default: false },
  "test-clock": { type: "boolean", default: false },
  markdown: { type: "boolean", default: false },
  help: { type: "boolean", default: false }
})
const herd = { clients: 5000, outage: 60_000, seed: "herd" }
if (options.help) {
  console.log(usage)
} else if (options.outages) {
  const outages = [1, 3, 10, 60, 600]
  const jittered = contenders.filter(({ policy }) => policy !== unjittered.policy)
  const lines: Array<ReadonlyArray<string>> = []
  for (const { name, policy } of jittered) {
    Progress.begun(name, lines.length + 1, jittered.length)
    const cells: Array<string> = []
    for (const outage of outages) {
      const recovery = await recover({ ...herd, outage: outage * 1000, policy })
      const [half, most] = [0.5, 0.99].map((share) => (backWithin(recovery, share) / 1000).toFixed(2))
      cells.push(`${half}, ${most} s; ${percent(peakShare(recovery, 100))}`)
    }
    lines.push([name, ...cells])
  }
  const head = ["half and 99 % back; most in 100 ms", ...outages.map((outage) => `after ${outage} s`)]
  console.log(options.markdown ? markdown(head, lines) : columns(head, lines))
} else {
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
