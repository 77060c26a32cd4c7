/** What passed, failed and was skipped, over all checks of a run. */
export interface Report {
  /** Runs a check, which fails by throwing, and counts it. Gives whether it passed. */
  readonly check: (name: string, run: () => void | Promise<void>) => Promise<boolean>
  /** Counts checks that ran elsewhere. */
  readonly add: (counts: Partial<Counts>) => void
  /** Prints the totals as the last line, and makes the process fail if a check did. */
  readonly finish: () => void
}

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export const make = (): Report => {
  const totals = { passed: 0, failed: 0, skipped: 0 }
  const failures: Array<string> = []

  const add = (counts: Partial<Counts>): void => {
    totals.passed += counts.passed ?? 0
    totals.failed += counts.failed ?? 0
    totals.skipped += counts.skipped ?? 0
  }

  return {
    check: async (name, run) => {
      const begun = performance.now()
      const took = () => `(${((performance.now() - begun) / 1000).toFixed(1)} s)`
      try {
        await run()
        add({ passed: 1 })
        console.log(`ok    ${name} ${took()}`)
        return true
      } catch (error) {
        add({ failed: 1 })
        failures.push(name)
        console.log(`FAIL  ${name} ${took()}`)
        console.log(error instanceof Error ? error.message : error)
        return false
      }
    },
    add,
    finish: () => {
      // Skipping is for a developer's own machine: what no CI runs is not tested.
      const isTooLittle = process.env["CI"] !== undefined && process.env["CI"] !== "false" && totals.skipped > 0
      if (isTooLittle) console.log("Skipped tests are a failure in CI.")
      for (const name of failures) console.log(`Failed: ${name}`)
      const skipped = totals.skipped === 0 ? "" : `, ${totals.skipped} skipped`
      console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`)
      process.exitCode = totals.failed > 0 || isTooLittle || totals.passed === 0 ? 1 : 0
    }
  }
}
