import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** Whether a fiber can't end without another: itself, or one of those that end with it. */
export const isAwaited = (by: AnyFiber, fiber: AnyFiber): Effect.Effect<boolean> =>
  by === fiber
    ? Effect.succeed(true)
    : Effect.flatMap(by.children, (children) => Effect.exists(children, (child) => isAwaited(child, fiber)))
