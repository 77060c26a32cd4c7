/**
 * Times and causes in a few words.
 */
import { Cause, Duration, Either } from "effect"
import type { ClientService } from "effect-client-service"
import type { ConnectError } from "effect-client-service-node"
import type { LinesError } from "../support/lines.js"

export type OwnError = ConnectError.ConnectError | LinesError

export type Problem =
  | ClientService.ConnectionError<OwnError>
  | ClientService.ServiceStopped
  | ClientService.RetriesExhausted<OwnError>

export const ofCause = (cause: Cause.Cause<Problem>): string =>
  Either.match(Cause.failureOrCause(cause), { onLeft: ofProblem, onRight: (defect) => firstLine(Cause.pretty(defect)) })

export const ofProblem = (problem: Problem): string => {
  switch (problem._tag) {
    case "ConnectError":
      return (
        connectReasons[problem.reason] ?? withCode(problem.reason === "Tls" ? "TLS failed" : "failed", problem.code)
      )
    case "ConnectTimeout":
      return `no connection within ${ofDuration(problem.duration)}`
    case "ConnectionLost":
      return "connection lost"
    case "ServiceStopped":
      return "the service is stopped"
    case "RetriesExhausted":
      return `gave up after ${count(problem.failures, "failure")} in a row, the last: ${ofCause(problem.cause)}`
    default:
      return firstLine(problem.message)
  }
}

const withCode = (text: string, code: string | undefined): string => (code === undefined ? text : `${text} (${code})`)

// Of the others, the code tells more.
const connectReasons: Partial<Record<ConnectError.Reason, string>> = {
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
