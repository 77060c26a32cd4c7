import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as LogLevel from "effect/LogLevel"
import type { Model } from "./transitions.js"

/**
 * What a service logs: an entry for each transition, but no more than one warning a minute.
 */
export class Journal {
  private quietUntil = Number.NEGATIVE_INFINITY
  private suppressed = 0

  constructor(
    private readonly service: string,
    private readonly endpoint: string,
    private readonly clock: Clock.Clock
  ) {}

  transition(before: Model<unknown, unknown>, after: Model<unknown, unknown>): Effect.Effect<void> {
    const { state } = after
    switch (state._tag) {
      case "Connected":
        return this.write(LogLevel.Info, after, "connected")
      case "Waiting":
        return this.warn(after, `${failed(before)}, next attempt in ${Duration.format(state.delay)}`, state.cause)
      case "Exhausted":
        return this.warn(after, `${failed(before)}, giving up`, state.cause)
      default:
        return this.write(LogLevel.Debug, after, state._tag.toLowerCase())
    }
  }

  startedTwice(model: Model<unknown, unknown>): Effect.Effect<void> {
    return this.write(LogLevel.Warning, model, "started again, although it is running")
  }

  /** Logs a warning, or a debug entry if there was a warning within the last minute. */
  warn(model: Model<unknown, unknown>, message: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const now = this.clock.unsafeCurrentTimeMillis()
      if (now < this.quietUntil) {
        this.suppressed += 1
        return this.write(LogLevel.Debug, model, message, cause)
      }
      const more = this.suppressed === 0 ? "" : ` (${this.suppressed} more warnings since the last)`
      this.quietUntil = now + 60_000
      this.suppressed = 0
      return this.write(LogLevel.Warning, model, message + more, cause)
    })
  }

  private write(
    level: LogLevel.LogLevel,
    { attempt, generation }: Model<unknown, unknown>,
    message: string,
    cause?: Cause.Cause<unknown>
  ): Effect.Effect<void> {
    // Most entries are for debugging and are not wanted: to annotate them nevertheless would cost more than all else.
    return Effect.withFiberRuntime((fiber) => {
      if (LogLevel.lessThan(level, fiber.getFiberRef(FiberRef.currentMinimumLogLevel))) return Effect.void
      const entry =
        cause === undefined ? Effect.logWithLevel(level, message) : Effect.logWithLevel(level, message, cause)
      return entry.pipe(
        Effect.annotateLogs({ service: this.service, endpoint: this.endpoint, attempt, generation }),
        // A logger that throws must not end the service.
        Effect.catchAllCause(() => Effect.void)
      )
    })
  }
}

const failed = (before: Model<unknown, unknown>): string =>
  before.state._tag === "Connected" ? "connection lost" : "attempt failed"
