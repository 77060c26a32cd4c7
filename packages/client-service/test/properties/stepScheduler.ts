import { type Clock, Effect, type Fiber, Logger, LogLevel, Random, type Runtime, type Scheduler } from "effect"

/**
 * Runs fibers only when told to, in the order in which they became ready. Between two steps everything stands still, so
 * that a test can look, or put an event between two tasks.
 */
export class StepScheduler implements Scheduler.Scheduler {
  private tasks: Array<Scheduler.Task> = []
  private next = 0

  shouldYield(_: Fiber.RuntimeFiber<unknown, unknown>): false {
    return false
  }

  scheduleTask(task: Scheduler.Task): void {
    this.tasks.push(task)
  }

  /** Runs one task, and tells whether there was one. */
  step(): boolean {
    const task = this.tasks[this.next]
    if (task === undefined) {
      this.tasks = []
      this.next = 0
      return false
    }
    this.next += 1
    task()
    return true
  }
}

/** A runtime that logs nothing, and whose steps, time and chance are those of a test. */
export const stepRuntime = (scheduler: StepScheduler, clock: Clock.Clock): Runtime.Runtime<never> =>
  Effect.runSync(
    Effect.runtime<never>().pipe(
      Logger.withMinimumLogLevel(LogLevel.None),
      Effect.withClock(clock),
      Effect.withRandom(Random.make("step")),
      Effect.withScheduler(scheduler)
    )
  )
