/**
 * Time that passes as fast as what happens in it can be computed, for hundreds of clients or attempts: `TestClock` waits
 * some real milliseconds at each instant.
 */
import { Clock, Duration, Effect, type Scheduler } from "effect"

export interface FastTime {
  /** Begins what goes on while time passes. */
  readonly begin: <A, E>(effect: Effect.Effect<A, E>) => void
  /** Lets so many milliseconds pass. */
  readonly pass: (millis: number) => void
}

export const make = (): FastTime => {
  let now = 0
  let tasks: Array<Scheduler.Task> = []
  const timers = new Set<{ readonly at: number; readonly wake: () => void }>()

  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const timer = { at: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        timers.add(timer)
        return Effect.sync(() => timers.delete(timer))
      })
  }
  const scheduler: Scheduler.Scheduler = { shouldYield: () => false, scheduleTask: (task) => tasks.push(task) }

  const settle = (): void => {
    while (tasks.length > 0) {
      const due = tasks
      tasks = []
      for (const task of due) task()
    }
  }

  return {
    begin: (effect) => {
      Effect.runFork(effect.pipe(Effect.withClock(clock), Effect.withScheduler(scheduler)), { scheduler })
      settle()
    },
    pass: (millis) => {
      const end = now + millis
      for (;;) {
        const next = Math.min(end, ...Array.from(timers, ({ at }) => at))
        now = next
        const due = [...timers].filter(({ at }) => at <= next)
        if (due.length === 0) return
        for (const timer of due) {
          timers.delete(timer)
          timer.wake()
        }
        settle()
      }
    }
  }
}
