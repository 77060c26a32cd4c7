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
  private moment = 0
  private readonly runs = new WeakMap<object, number>()
  private readonly stopped = new WeakSet<object>()

  constructor(private readonly preempt: Preempt = () => "goes on") {}

  /** How many fibers are ready, but for those that are held. */
  get ready(): number {
    return this.tasks.length - this.next
  }

  /** Whether no fiber can go on. */
  get isAtRest(): boolean {
    return this.ready === 0 && this.held.length === 0
  }

  /** Grows with every task. */
  get now(): number {
    return this.moment
  }

  /** When a fiber that has been stopped since would have begun to run, had it not been stopped. */
  runningSince(fiber: object): number {
    return this.runs.get(fiber) ?? this.moment
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (fiber.currentOpCount === 1 && !this.stopped.delete(fiber)) this.runs.set(fiber, this.moment)
    const preemption = this.isUndisturbed ? "goes on" : this.preempt(fiber)
    if (preemption === "goes on") return false
    this.preemptions += 1
    this.stopped.add(fiber)
    return preemption === "is held" ? lowPriority : 0
  }

  scheduleTask(task: Scheduler.Task, priority: number): void {
    if (priority === lowPriority) this.held.push(task)
    else this.tasks.push(task)
  }

  /** Runs one task, and tells whether there was one. */
  step(): boolean {
    this.moment += 1
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

/** Numbers from 0 to 1, by a seed. */
export const chances = (seed: number): (() => number) => {
  let state = seed
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Stops about three of a hundred steps: a fifth of the fibers until nothing else is ready. To yield takes steps itself, so
 * that much more than that would never end.
 */
export const preemptBy =
  (chance: () => number): Preempt =>
  () => {
    const chosen = chance()
    if (chosen >= 0.03) return "goes on"
    return chosen < 0.006 ? "is held" : "yields"
  }

/** A runtime that logs nothing, and whose steps, time and chance are those of a test. */
export const stepRuntime = (
  scheduler: StepScheduler,
  clock: Clock.Clock,
  random: Random.Random = Random.make("step")
): Runtime.Runtime<never> => {
  const services = silent.fiberRefs.pipe(
    FiberRefs.getOrDefault(DefaultServices.currentServices),
    Context.add(Clock.Clock, clock),
    Context.add(Random.Random, random)
  )
  return silent.pipe(
    Runtime.setFiberRef(DefaultServices.currentServices, services),
    Runtime.setFiberRef(FiberRef.currentScheduler, scheduler)
  )
}

const silent = Effect.runSync(Logger.withMinimumLogLevel(Effect.runtime<never>(), LogLevel.None))
