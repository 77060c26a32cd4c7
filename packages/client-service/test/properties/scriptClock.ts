import { Clock, Duration, Effect } from "effect"

interface Timer {
  readonly at: number
  readonly run: () => void
}

/**
 * A clock that moves when told to. It tells how many sleeps of the service are pending, which `TestClock` can't, since it
 * keeps those that were interrupted. What the script itself times (`at`) does not count.
 */
export class ScriptClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  readonly currentTimeMillis: Effect.Effect<number> = Effect.sync(() => this.now)
  readonly currentTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.unsafeCurrentTimeNanos())
  now = 0
  /** How many sleeps are pending. */
  sleeping = 0
  private timers: Array<Timer> = []

  unsafeCurrentTimeMillis(): number {
    return this.now
  }

  unsafeCurrentTimeNanos(): bigint {
    return BigInt(this.now) * 1_000_000n
  }

  // Not by `Effect.async` alone: that can be interrupted after its registration and before its cleanup is sure to run.
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => {
      let isOver = false
      let wake = () => {}
      this.sleeping += 1
      const cancel = this.at(this.now + Duration.toMillis(duration), () => {
        this.sleeping -= 1
        isOver = true
        wake()
      })
      const slept = Effect.async<void>((resume) => {
        wake = () => resume(Effect.void)
        if (isOver) wake()
      })
      return Effect.onInterrupt(restore(slept), () =>
        Effect.sync(() => {
          this.sleeping -= cancel() ? 1 : 0
        })
      )
    })
  }

  /** In how many milliseconds something is due, the soonest first. */
  get due(): ReadonlyArray<number> {
    return this.timers.map(({ at }) => at - this.now)
  }

  /** Runs something at an instant, unless it is cancelled before. */
  at(instant: number, run: () => void): () => boolean {
    const timer = { at: instant, run }
    const index = this.timers.findIndex((other) => other.at > instant)
    this.timers.splice(index < 0 ? this.timers.length : index, 0, timer)
    return () => {
      const index = this.timers.indexOf(timer)
      if (index >= 0) this.timers.splice(index, 1)
      return index >= 0
    }
  }

  /** Moves on to the next instant at which something is due, and runs what is first. */
  skip(): void {
    const timer = this.timers.shift()
    if (timer === undefined) return
    this.now = timer.at
    timer.run()
  }

  /** Moves on to an instant. Runs `drain` after each timer that is due, and `rest` after the last one of an instant. */
  moveTo(end: number, drain: () => void, rest: () => void): void {
    for (;;) {
      const timer = this.timers[0]
      if (timer === undefined || timer.at > end) break
      if (timer.at > this.now) rest()
      this.timers.shift()
      this.now = timer.at
      timer.run()
      drain()
    }
    rest()
    this.now = end
    rest()
  }
}
