import { type Cause, Effect, HashMap, Logger, LogLevel } from "effect"

export interface LogEntry {
  readonly level: LogLevel.LogLevel["_tag"]
  readonly message: string
  readonly cause: Cause.Cause<unknown>
  readonly annotations: Record<string, unknown>
}

/** Runs an Effect with a logger that keeps every entry, from debug on. */
export const withLogs = <A, E, R>(use: (entries: ReadonlyArray<LogEntry>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const entries: Array<LogEntry> = []
    const logger = Logger.make(({ annotations, cause, logLevel, message }) => {
      entries.push({
        level: logLevel._tag,
        message: String(message),
        cause,
        annotations: Object.fromEntries(HashMap.toEntries(annotations))
      })
    })
    return use(entries).pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.Debug)
    )
  })
