import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scheduler from "effect/Scheduler"
import TinyQueue from "tinyqueue"

interface Timer {
  readonly at: number
  readonly number: number
  wake: (() => void) | undefined
}

/**
 * Time that passes when told to, and as fast as what happens in it can be computed. What is due at one instant happens
 * in the order in which it was asked for, so everything repeats exactly.
 *
 * `TestClock` waits some real milliseconds at each instant, for whatever else may be going on: too long for thousands of
 * services, or for a month.
 */
export class VirtualTime {
  /** Milliseconds. */
  now = 0
  /** How many sleeps are neither over nor interrupted. */
  sleeping = 0
  #started = 0
  readonly #timers = new TinyQueue<Timer>([], (a, b) => a.at - b.at || a.number - b.number)
  #tasks: Array<Scheduler.Task> = []

  readonly #clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => this.now,
    unsafeCurrentTimeNanos: () => BigInt(this.now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => this.now),
    currentTimeNanos: Effect.sync(() => BigInt(this.now) * 1_000_000n),
    sleep: (duration) => this.#sleep(this.now + Duration.toMillis(duration))
  }

  readonly #scheduler: Scheduler.Scheduler = {
    shouldYield: () => false,
    scheduleTask: (task) => this.#tasks.push(task)
  }

  /** Runs an Effect that is over before time has to pass. What it forks goes on as time does. */
  run<A, E>(effect: Effect.Effect<A, E>): A {
    const fiber = Effect.runFork(effect.pipe(Effect.withClock(this.#clock), Effect.withScheduler(this.#scheduler)), {
      scheduler: this.#scheduler
    })
    this.#drain()
    const exit = fiber.unsafePoll()
    if (exit === null) throw new Error("it waits for time to pass")
    return Exit.getOrElse(exit, (cause) => {
      throw new Error("it failed", { cause })
    })
  }

  /** Lets so many milliseconds pass. */
  pass(millis: number): void {
    const end = this.now + millis
    this.#drain()
    for (let next = this.#timers.peek(); next !== undefined && next.at <= end; next = this.#timers.peek()) {
      this.#timers.pop()
      this.now = next.at
      next.wake?.()
      this.#drain()
    }
    this.now = end
  }

  #sleep(at: number): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const wake = () => {
        this.sleeping -= 1
        resume(Effect.void)
      }
      const timer: Timer = { at, number: this.#started, wake }
      this.#started += 1
      this.sleeping += 1
      this.#timers.push(timer)
      return Effect.sync(() => {
        if (timer.wake === undefined) return
        // It stays in the queue until then, but holds nothing.
        timer.wake = undefined
        this.sleeping -= 1
      })
    })
  }

  #drain(): void {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks
      this.#tasks = []
      for (const task of tasks) task()
    }
  }
}
