import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Metrics } from "./metrics.js"
import type { Source } from "./source.js"

/** What measures a service is told of it. */
export interface Measured extends Source {
  /** The name of its own, if it has one. */
  readonly label: string | undefined
}

/**
 * What measures the services that are made where it is provided, if anything does. A service knows it by this alone, so that
 * a program that measures nothing carries nothing of it.
 */
export class Instrumentation extends Context.Reference<Instrumentation>()("effect-client-service/Instrumentation", {
  defaultValue: (): ((measured: Measured) => Effect.Effect<Metrics>) | undefined => undefined
}) {}
