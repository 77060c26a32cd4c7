import {
  Clock,
  Context,
  DefaultServices,
  Effect,
  type Fiber,
  FiberRef,
  FiberRefs,
  Logger,
  LogLevel,
  Random,
  Runtime,
  type Scheduler
} from "effect"

/**
 * What becomes of a fiber between two of its steps, where Effect may stop any: it goes on, it yields to those that are
 * ready, or it is held until there is nothing else to run.
 */
export type Preemption = "goes on" | "yields" | "is held"

export type Preempt = (fiber: Fiber.RuntimeFiber<unknown, unknown>) => Preemption

/**
 * Runs fibers only when told to, in the order in which they became ready. Between two tasks everything stands still, so
 * that a test can look, or put an event between them.
 */
export class StepScheduler implements Scheduler.Scheduler {
  /** How many fibers were stopped that would have gone on. */
  preemptions = 0
  private tasks: Array<Scheduler.Task> = []
  private next = 0
  private readonly held: Array<Scheduler.Task> = []
  private isUndisturbed = false

  constructor(private readonly preempt: Preempt = () => "goes on") {}

  /** How many fibers are ready, but for those that are held. */
  get ready(): number {
    return this.tasks.length - this.next
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    const preemption = this.isUndisturbed ? "goes on" : this.preempt(fiber)
    if (preemption === "goes on") return false
    this.preemptions += 1
    return preemption === "is held" ? lowPriority : 0
  }

  scheduleTask(task: Scheduler.Task, priority: number): void {
    if (priority === lowPriority) this.held.push(task)
    else this.tasks.push(task)
  }

  /** Runs one task, and tells whether there was one. */
  step(): boolean {
    const task = this.tasks[this.next]
    if (task !== undefined) {
      this.next += 1
      task()
      return true
    }
    this.tasks = []
    this.next = 0
    const held = this.held.shift()
    held?.()
    return held !== undefined
  }

  /** Runs something whose fibers go on for as long as they can. */
  undisturbed<A>(run: () => A): A {
    const { isUndisturbed } = this
    this.isUndisturbed = true
    try {
      return run()
    } finally {
      this.isUndisturbed = isUndisturbed
    }
  }
}

const lowPriority = 1

/** A runtime that logs nothing, and whose steps, time and chance are those of a test. */
export const stepRuntime = (scheduler: StepScheduler, clock: Clock.Clock): Runtime.Runtime<never> => {
  const services = silent.fiberRefs.pipe(
    FiberRefs.getOrDefault(DefaultServices.currentServices),
    Context.add(Clock.Clock, clock),
    Context.add(Random.Random, Random.make("step"))
  )
  return silent.pipe(
    Runtime.setFiberRef(DefaultServices.currentServices, services),
    Runtime.setFiberRef(FiberRef.currentScheduler, scheduler)
  )
}

const silent = Effect.runSync(Logger.withMinimumLogLevel(Effect.runtime<never>(), LogLevel.None))
