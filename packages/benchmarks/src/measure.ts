import * as Effect from "effect/Effect"
import * as Progress from "./progress.js"
import type { Samples } from "./row.js"

/**
 * Runs the rounds of both sides in turn, each side first in every other round, so that whatever slows the machine down
 * for a while slows both. Rounds of warming up are not counted, and garbage is collected before each round, not in it.
 *
 * A round should take half a second or more: at each such collection the engine throws away code that was compiled for
 * objects of which there are none just then, and the round pays for compiling it again.
 */
export const interleave = <R>(options: {
  readonly rounds: number
  readonly warmUp: number
  readonly subject: Effect.Effect<number, never, R>
  readonly against: Effect.Effect<number, never, R>
}): Effect.Effect<Samples, never, R> =>
  Effect.gen(function* () {
    const subject: Array<number> = []
    const against: Array<number> = []
    const total = options.warmUp + options.rounds
    for (let round = 0; round < total; round += 1) {
      Progress.round(round + 1, total)
      const sides = [
        { effect: options.subject, samples: subject },
        { effect: options.against, samples: against }
      ]
      if (round % 2 === 1) sides.reverse()
      for (const { effect, samples } of sides) {
        collectGarbage()
        const sample = yield* effect
        if (round >= options.warmUp) samples.push(sample)
      }
    }
    return { subject, against }
  })

/** Rounds of one side only. */
export const repeat = <R>(options: {
  readonly rounds: number
  readonly warmUp: number
  readonly subject: Effect.Effect<number, never, R>
}): Effect.Effect<Samples, never, R> =>
  Effect.map(interleave({ ...options, against: Effect.succeed(0) }), ({ subject }) => ({ subject, against: [] }))

/** The milliseconds that an Effect takes. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => performance.now() - start)
  })

/**
 * The milliseconds of processor time that an Effect takes, for what waits for nothing outside this process: unlike the
 * time that passes, it does not grow while other processes have the processor.
 */
export const cpuTimed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const start = process.cpuUsage()
    return Effect.map(effect, () => {
      const { system, user } = process.cpuUsage(start)
      return (user + system) / 1000
    })
  })

/** The milliseconds of processor time that each of so many runs takes. `step` gets what each gives. */
export const cpuTimedEach = <A, E, R>(
  times: number,
  body: () => Effect.Effect<A, E, R>,
  step: (a: A) => void = () => {}
): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    let done = 0
    const all = Effect.whileLoop({
      while: () => done < times,
      body,
      step: (a) => {
        done += 1
        step(a)
      }
    })
    return Effect.map(cpuTimed(all), (millis) => millis / times)
  })

/** The bytes of heap that are in use once all garbage is collected. */
export const heapUsed = Effect.sync(() => {
  collectGarbage()
  // What finalizers and weak references kept is garbage only the second time.
  collectGarbage()
  return process.memoryUsage().heapUsed
})

const collectGarbage = (): void => {
  if (globalThis.gc === undefined) throw new Error("the benchmarks need node --expose-gc")
  globalThis.gc()
}
