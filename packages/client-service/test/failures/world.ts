import { Duration, Effect, Exit, type Fiber, Logger, LogLevel, Random, Runtime, Scope } from "effect"
import { ScriptClock } from "../properties/scriptClock.js"
import { StepScheduler } from "../properties/stepScheduler.js"

/**
 * A world that stands still between the steps of its fibers, and whose clock moves when told to. A day in it takes no
 * time, and an event can be put between any two steps.
 */
export class World {
  readonly clock = new ScriptClock()
  readonly #scheduler = new StepScheduler()
  readonly #scope = Effect.runSync(Scope.make())
  readonly #runtime = Effect.runSync(
    Effect.runtime<never>().pipe(
      Logger.withMinimumLogLevel(LogLevel.None),
      Effect.withClock(this.clock),
      Effect.withRandom(Random.make("world")),
      Effect.withScheduler(this.#scheduler)
    )
  )

  fork<A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Fiber.RuntimeFiber<A, E> {
    return Runtime.runFork(this.#runtime)(Scope.extend(effect, this.#scope))
  }

  /** Runs an Effect, and all that follows from it without the clock. */
  run<A, E>(effect: Effect.Effect<A, E, Scope.Scope>): A {
    const fiber = this.fork(effect)
    this.settle()
    const exit = fiber.unsafePoll()
    if (exit === null || Exit.isFailure(exit)) throw new Error(`not done at once: ${exit}`)
    return exit.value
  }

  /** Runs the fibers until none can go on, or for so many steps. Gives how many there were. */
  settle(steps = Number.POSITIVE_INFINITY): number {
    let done = 0
    while (done < steps && this.#scheduler.step()) done += 1
    return done
  }

  pass(duration: Duration.DurationInput): void {
    const settle = () => void this.settle()
    settle()
    this.clock.moveTo(this.clock.now + Duration.toMillis(duration), settle, settle)
  }

  /** Closes the Scope of all that has been run. */
  close(): void {
    this.fork(Scope.close(this.#scope, Exit.void))
    this.settle()
  }
}
