import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"

/**
 * Runs an Effect in a fiber of its own, perhaps with more services. Unless it is to begin at once, it begins after the
 * caller's own step, so that whatever the Effect calls finds the caller's state complete.
 */
export type Fork<R> = <A, E, S = never>(
  effect: Effect.Effect<A, E, R | S>,
  options?: { readonly atOnce?: boolean; readonly services?: Context.Context<S> }
) => Fiber.RuntimeFiber<A, E>

/**
 * Makes a `Fork` with the services and the fiber refs of the caller. Its fibers have no owner: they end by themselves,
 * or when they are interrupted.
 */
export const makeFork = <R>(): Effect.Effect<Fork<R>, never, R> =>
  Effect.map(Effect.runtime<R>(), (callers) => {
    // The caller may be in an uninterruptible region, such as the building of a Layer, and fibers would inherit that.
    const runtime = Runtime.enableRuntimeFlag(callers, RuntimeFlags.Interruption)
    return (effect, { atOnce = false, services = Context.unsafeMake(new Map()) } = {}) =>
      Runtime.runFork(Runtime.make({ ...runtime, context: Context.merge(runtime.context, services) }), effect, {
        immediate: atOnce
      })
  })
