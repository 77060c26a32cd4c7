import { Cause, type Context, Effect, Exit, type Fiber, type Option, Supervisor } from "effect"
import { ScriptedDefect } from "./peer.js"

/**
 * Counts the fibers of the service that are alive, and tells of each that starts, and that dies of anything but the script.
 */
export class FiberCensus extends Supervisor.AbstractSupervisor<number> {
  private readonly alive = new Set<unknown>()
  readonly value: Effect.Effect<number> = Effect.sync(() => this.size)

  constructor(
    private readonly died: (defect: unknown) => void,
    private readonly started: (fiber: object) => void = () => {}
  ) {
    super()
  }

  get size(): number {
    return this.alive.size
  }

  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    _parent: Option.Option<Fiber.RuntimeFiber<unknown, unknown>>,
    fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    this.alive.add(fiber)
    this.started(fiber)
  }

  override onEnd<A, E>(exit: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>): void {
    this.alive.delete(fiber)
    if (Exit.isSuccess(exit)) return
    for (const defect of Cause.defects(exit.cause)) {
      if (!isExpected(defect)) this.died(defect)
    }
  }
}

// The service turns a bad delay into a defect of the policy.
const isExpected = (defect: unknown): boolean =>
  defect instanceof ScriptedDefect || (defect instanceof Error && defect.message.startsWith("a delay of "))
