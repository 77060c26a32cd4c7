import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as LogLevel from "effect/LogLevel"
import type { Model } from "../service/table.js"
import { monotonic } from "../time/monotonic.js"
import type { Source } from "./source.js"

export interface Entry {
  readonly level: LogLevel.LogLevel
  readonly model: Model<unknown, unknown>
  /** Made only for those who log the level. */
  readonly message: () => string
  readonly cause?: Cause.Cause<unknown> | undefined
}

/** Whether the fiber logs an entry. Most entries are for debugging, and most of those are for nobody. */
export const isLogged = (fiber: Fiber.RuntimeFiber<unknown, unknown>, { level }: Entry): boolean =>
  !LogLevel.lessThan(level, fiber.getFiberRef(FiberRef.currentMinimumLogLevel))

/** Of warnings that repeat each other. */
interface Repetition {
  readonly quietUntil: number
  readonly suppressed: number
}

/**
 * What a service logs: an entry for each transition, but no more than one warning a minute of those that repeat each other.
 */
export class Journal {
  readonly #source: Source
  #repetitions: Map<string, Repetition> | undefined
  #said: Set<string> | undefined

  constructor(source: Source) {
    this.#source = source
  }

  transition(before: Model<unknown, unknown>, model: Model<unknown, unknown>): Entry {
    const { state } = model
    switch (state._tag) {
      case "Connected":
        return { level: LogLevel.Info, model, message: () => "connected" }
      case "Waiting": {
        const message = () => `${failed(before)}, next attempt in ${Duration.format(state.delay)}`
        return this.#warning("without a connection", model, message, state.cause)
      }
      case "Exhausted":
        return { level: LogLevel.Error, model, message: () => `${failed(before)}, giving up`, cause: state.cause }
      default:
        return { level: LogLevel.Debug, model, message: () => state._tag.toLowerCase() }
    }
  }

  /** A warning that is never left out. */
  always(model: Model<unknown, unknown>, message: string): Entry {
    return { level: LogLevel.Warning, model, message: () => message }
  }

  /** A warning that is given once for a service. */
  onceOnly(model: Model<unknown, unknown>, message: string): Entry | undefined {
    this.#said ??= new Set()
    if (this.#said.has(message)) return undefined
    this.#said.add(message)
    return this.always(model, message)
  }

  died(model: Model<unknown, unknown>, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return this.write({ level: LogLevel.Error, model, message: () => "the connection loop died, and goes on", cause })
  }

  warn(model: Model<unknown, unknown>, message: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => this.write(this.#warning(message, model, () => message, cause)))
  }

  write({ cause = Cause.empty, level, message, model: { attempt, generation } }: Entry): Effect.Effect<void> {
    const { endpoint, service } = this.#source
    return Effect.logWithLevel(level, message(), cause).pipe(
      Effect.annotateLogs({ service, endpoint, attempt, generation }),
      // A logger that throws must not end the service.
      Effect.catchAllCause(() => Effect.void)
    )
  }

  /** A warning, or an entry for debugging if it repeats one of the last minute. */
  #warning(
    repeated: string,
    model: Model<unknown, unknown>,
    message: () => string,
    cause: Cause.Cause<unknown> | undefined
  ): Entry {
    const now = monotonic(this.#source.clock)
    this.#repetitions ??= new Map()
    const { quietUntil, suppressed } = this.#repetitions.get(repeated) ?? never
    if (now < quietUntil) {
      this.#repetitions.set(repeated, { quietUntil, suppressed: suppressed + 1 })
      return { level: LogLevel.Debug, model, message, cause }
    }
    const more = suppressed === 0 ? "" : ` (${suppressed} more since the last)`
    this.#repetitions.set(repeated, { quietUntil: now + 60_000, suppressed: 0 })
    return { level: LogLevel.Warning, model, message: () => message() + more, cause }
  }
}

const never: Repetition = { quietUntil: Number.NEGATIVE_INFINITY, suppressed: 0 }

const failed = (before: Model<unknown, unknown>): string =>
  before.state._tag === "Connected" ? "connection lost" : "attempt failed"
