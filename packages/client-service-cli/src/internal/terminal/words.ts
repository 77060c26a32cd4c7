/**
 * Times and causes in a few words.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import {
  ConnectionLost,
  ConnectTimeout,
  HeartbeatTimeout,
  NotConnected,
  RetriesExhausted,
  ServiceStopped
} from "effect-client-service/ConnectionError"
import { WebSocketOpenError } from "effect-client-service/WebSocketError"
import { ConnectError, type Reason } from "effect-client-service-node/ConnectError"

/** What an error of the command has, and of a service. */
export interface Told {
  readonly _tag: string
  readonly message: string
}

export const ofCause = (cause: Cause.Cause<Told>): string =>
  Either.match(Cause.failureOrCause(cause), { onLeft: ofProblem, onRight: (defect) => firstLine(Cause.pretty(defect)) })

export const ofProblem = (problem: Told): string => {
  if (problem instanceof ConnectError) {
    return connectReasons[problem.reason] ?? withDetail(problem.reason === "Tls" ? "TLS failed" : "failed", problem)
  }
  if (problem instanceof WebSocketOpenError && problem.cause instanceof ConnectError) return ofProblem(problem.cause)
  if (problem instanceof ConnectTimeout) return `no connection within ${ofDuration(problem.duration)}`
  if (problem instanceof HeartbeatTimeout) return `silent for ${ofDuration(problem.duration)}`
  if (problem instanceof ConnectionLost) return problem.detail ?? "connection lost"
  if (problem instanceof ServiceStopped) return "the service is stopped"
  if (problem instanceof NotConnected && problem.maxWait !== undefined) {
    return `no connection within ${ofDuration(problem.maxWait)}`
  }
  if (problem instanceof RetriesExhausted) {
    return `gave up after ${count(problem.failures, "failure")} in a row, the last: ${ofCause(problem.cause)}`
  }
  return firstLine(problem.message)
}

const withDetail = (text: string, { cause, code }: ConnectError): string => {
  const detail = code ?? (cause instanceof Error ? firstLine(cause.message) : undefined)
  return detail === undefined ? text : `${text} (${detail})`
}

// Of the others, the code or the cause tells more.
const connectReasons: Partial<Record<Reason, string>> = {
  Refused: "refused",
  Dns: "host name not found",
  TimedOut: "timed out",
  Unreachable: "unreachable",
  Reset: "reset by the peer",
  Permission: "not permitted"
}

export const ofDuration = (duration: Duration.DurationInput): string => {
  const millis = Duration.toMillis(duration)
  if (millis < 10_000) return `${(millis / 1000).toFixed(2)} s`
  return millis < 60_000
    ? `${(millis / 1000).toFixed(1)} s`
    : Duration.format(Duration.seconds(Math.round(millis / 1000)))
}

export const count = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? "" : "s"}`

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? ""
