import * as Effect from "effect/Effect"
import { timed } from "./measure.js"

/** The milliseconds that each of so many calls takes, by so many callers, each of which makes one call after the other. */
export const timedCalls = <E, R>(
  calls: number,
  callers: number,
  call: () => Effect.Effect<unknown, E, R>
): Effect.Effect<number, never, R> =>
  Effect.suspend(() => {
    let begun = 0
    const caller = Effect.whileLoop({
      while: () => begun < calls,
      body: () => {
        begun += 1
        return call()
      },
      step: () => {}
    })
    const all = callers === 1 ? caller : Effect.forEach(Array.from({ length: callers }), () => caller, unbounded)
    return Effect.map(Effect.orDie(timed(all)), (millis) => millis / calls)
  })

const unbounded = { concurrency: "unbounded", discard: true } as const

/** How many callers there are, for the name of a row. */
export const callersOf = (callers: number): string =>
  callers === 1 ? "1 caller" : `${callers.toLocaleString("en")} callers`
