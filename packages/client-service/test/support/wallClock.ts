import { type Clock, Effect } from "effect"

/** A wall clock that is ahead of the others by so many milliseconds, or behind them. */
export interface WallClock {
  ahead: number
}

/** Runs an Effect with a clock whose time of day can be set, while the durations that it measures stay as they are. */
export const withWallClock = <A, E, R>(use: (wallClock: WallClock) => Effect.Effect<A, E, R>) =>
  Effect.clockWith((clock) => {
    const wallClock: WallClock = { ahead: 0 }
    const millis = () => clock.unsafeCurrentTimeMillis() + wallClock.ahead
    // Still the TestClock, for `TestClock.adjust`.
    const settable: Clock.Clock = Object.assign(Object.create(clock), {
      unsafeCurrentTimeMillis: millis,
      currentTimeMillis: Effect.sync(millis),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos()
    })
    return Effect.withClock(use(wallClock), settable)
  })

export const day = 24 * 60 * 60 * 1000
