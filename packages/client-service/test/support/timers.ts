import { type Clock, type Duration, Effect } from "effect"

/**
 * Runs an Effect with a Clock that counts the sleeps that are neither over nor interrupted. `TestClock.sleeps` would not
 * do: it keeps those that are interrupted.
 */
export const withTimers = <A, E, R>(use: (timers: { readonly pending: () => number }) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.clock, (clock) => {
    let pending = 0
    const counting: Clock.Clock = Object.assign(Object.create(clock), {
      sleep: (duration: Duration.Duration) =>
        Effect.suspend(() => {
          pending += 1
          return Effect.ensuring(
            clock.sleep(duration),
            Effect.sync(() => {
              pending -= 1
            })
          )
        })
    })
    return Effect.withClock(use({ pending: () => pending }), counting)
  })
