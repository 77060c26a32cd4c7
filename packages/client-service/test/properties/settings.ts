import type fc from "fast-check"

/**
 * How often a property runs, and from which seed: `RUNS` scripts, `SEED`, and the `REPLAY` path of one counterexample.
 * fast-check prints seed and path of a failure, so `SEED=42 REPLAY=7:0:1 npx vitest run --project client-service
 * test/properties` runs that very script again.
 */
export const settings = <A>(numRuns: number): fc.Parameters<A> => {
  const { REPLAY, RUNS, SEED } = process.env
  return {
    // A longer run keeps the proportions: the first property is the one that `RUNS` is about.
    numRuns: RUNS === undefined ? numRuns : Math.ceil((Number(RUNS) * numRuns) / ordinaryRuns),
    ...(SEED === undefined ? {} : { seed: Number(SEED) }),
    ...(REPLAY === undefined ? {} : { path: REPLAY })
  }
}

/** How many scripts an ordinary run of the tests tries. */
export const ordinaryRuns = 1000

/** Milliseconds for a property, long enough for any `RUNS`. */
export const timeout = 6 * 3_600_000
