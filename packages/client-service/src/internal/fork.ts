import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"

/**
 * Runs Effects in fibers of their own, which have no owner: they end by themselves, or when they are interrupted.
 */
export interface Fork<R> {
  /** Begins at once, and goes as far as it can without waiting. */
  readonly now: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.RuntimeFiber<A, E>
  /** Begins after the caller's own step: whatever the Effect calls finds the caller's state complete. */
  readonly soon: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.RuntimeFiber<A, E>
  /** Like `now`, with more services. */
  readonly nowWith: With<R>
  /** Like `soon`, with more services. */
  readonly soonWith: With<R>
}

type With<R> = <A, E, S>(effect: Effect.Effect<A, E, R | S>, services: Context.Context<S>) => Fiber.RuntimeFiber<A, E>

/**
 * Makes a `Fork` with the services and the fiber refs of the caller.
 */
export const makeFork = <R>(): Effect.Effect<Fork<R>, never, R> =>
  Effect.map(Effect.runtime<R>(), (callers) => {
    // The caller may be in an uninterruptible region, such as the building of a Layer, and fibers would inherit that.
    const runtime = Runtime.enableRuntimeFlag(callers, RuntimeFlags.Interruption)
    const and = <S>(services: Context.Context<S>) =>
      Runtime.make({ ...runtime, context: Context.merge(runtime.context, services) })
    return {
      now: (effect) => Runtime.runFork(runtime, effect),
      soon: (effect) => Runtime.runFork(runtime, effect, { immediate: false }),
      nowWith: (effect, services) => Runtime.runFork(and(services), effect),
      soonWith: (effect, services) => Runtime.runFork(and(services), effect, { immediate: false })
    }
  })
