import { Effect, type Exit, type Fiber, FiberRef, Runtime, RuntimeFlags, Supervisor } from "effect"
import { ScriptClock } from "../properties/scriptClock.js"
import { type Preemption, StepScheduler, stepRuntime } from "../properties/stepScheduler.js"

// More than any test needs: only fibers that never come to rest reach it.
const manyTasks = 50_000

/** Fibers that a test runs step by step, on a clock that it moves. */
export class Bench {
  readonly clock = new ScriptClock()
  readonly scheduler: StepScheduler
  readonly runtime: Runtime.Runtime<never>
  private readonly alive = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  private readonly watchers = new Set<object>()

  /** `isNote`: whether the next step only notes what is to come after another one, so that others can't tell when it is. */
  constructor(preempt?: (fiber: Fiber.RuntimeFiber<unknown, unknown>, isNote: boolean) => Preemption) {
    const steps = new Steps()
    this.scheduler = new StepScheduler((fiber) =>
      preempt === undefined || this.watchers.has(fiber) ? "goes on" : preempt(fiber, steps.isNote)
    )
    this.runtime = stepRuntime(this.scheduler, this.clock).pipe(
      Runtime.setFiberRef(FiberRef.currentSupervisor, steps),
      Runtime.enableRuntimeFlag(RuntimeFlags.OpSupervision)
    )
  }

  /** How many of the fibers that the test has begun have not ended. */
  get size(): number {
    return this.alive.size
  }

  /** Begins a fiber, and has it go as far as it can. */
  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> {
    const fiber = Runtime.runFork(this.runtime)(effect)
    this.alive.add(fiber)
    fiber.addObserver(() => this.alive.delete(fiber))
    return fiber
  }

  /** Begins a fiber that only looks on, and is never disturbed. */
  watch<A, E>(effect: Effect.Effect<A, E>): void {
    this.watchers.add(this.scheduler.undisturbed(() => this.fork(effect)))
  }

  /** Runs an Effect that takes no time, and whose fiber is not to be disturbed. */
  evaluate<A, E>(effect: Effect.Effect<A, E>): A {
    const exit = this.scheduler.undisturbed(() => this.fork(effect).unsafePoll())
    if (exit?._tag !== "Success") throw new Error(`not evaluated at once: ${exit}`)
    return exit.value
  }

  /** Lets the fibers run until they come to rest, or until something holds. */
  drain(until: () => boolean = () => false): void {
    for (let task = 0; !until() && this.scheduler.step(); task++) {
      if (task > manyTasks) throw new Error("the fibers never come to rest")
    }
  }

  /** Runs an Effect until it, and everything else, comes to rest. */
  run<A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> | null {
    const fiber = this.fork(effect)
    this.drain()
    return fiber.unsafePoll()
  }

  pass(millis: number): void {
    this.clock.moveTo(
      this.clock.now + millis,
      () => this.drain(),
      () => {}
    )
  }

  /** Interrupts the fibers that the test has begun. */
  interruptAll(): void {
    for (const fiber of [...this.alive]) this.fork(fiber.interruptAsFork(fiber.id()))
    this.drain()
  }
}

class Steps extends Supervisor.AbstractSupervisor<void> {
  readonly value = Effect.void
  isNote = false

  override onEffect(_: unknown, effect: object): void {
    this.isNote = "_op" in effect && notes.has(effect._op)
  }
}

const notes = new Set<unknown>(["OnSuccess", "OnFailure", "OnSuccessAndFailure"])
