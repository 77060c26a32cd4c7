/**
 * What people read.
 */
import type { Bar, Kind } from "./bars.js"
import type { Service } from "./history.js"

/** A length of time, as precise as one cares for. */
export const lengthText = (millis: number): string => {
  const seconds = Math.max(millis, 0) / 1000
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.min(Math.round(seconds), 59)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return both(minutes, "min", Math.floor(seconds % 60), "s")
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? both(hours, "h", minutes % 60, "min") : both(Math.floor(hours / 24), "days", hours % 24, "h")
}

const both = (whole: number, unit: string, rest: number, smaller: string): string =>
  rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${smaller}`

/** The time of the day where the page is looked at, as on the axis. */
export const timeText = (at: number): string => new Date(at).toLocaleTimeString("en-GB")

/** The state of a service, in a word or two. */
export const stateName = ({ current: { state } }: Service): string => names[state]

const names = {
  Init: "Not started",
  Connecting: "Connecting",
  Connected: "Connected",
  Waiting: "Waiting",
  Disconnecting: "Stopping",
  Restarting: "Restarting",
  Stopped: "Stopped",
  Exhausted: "Gave up"
} as const

/** Since when, or until when. */
export const stateDetail = ({ current: { at, attempt, failures, retryAt, state } }: Service, now: number): string => {
  const since = lengthText(now - at)
  switch (state) {
    case "Init":
      return ""
    case "Connecting":
      return `attempt ${attempt}, for ${since}`
    case "Waiting":
      return retryAt === undefined || retryAt <= now
        ? "next attempt now"
        : `next attempt in ${lengthText(retryAt - now)}`
    case "Exhausted":
      return `after ${failures} ${failures === 1 ? "failure" : "failures"}, ${since} ago`
    default:
      return `for ${since}`
  }
}

/** What is announced of a service that has entered another state. */
export const announcement = (service: Service): string => `${service.name}: ${stateName(service).toLowerCase()}`

export const kindNames: Record<Kind, string> = {
  connection: "Connection",
  attempt: "Attempt",
  failure: "Failed attempt",
  delay: "Delay",
  stopping: "Stopping",
  stopped: "Stopped",
  exhausted: "Gave up"
}

/** What a bar tells whoever points at it. */
export const barText = ({ cause, from, kind, to, transition, until }: Bar, now: number): ReadonlyArray<string> => {
  const { attempt, failures, generation } = transition
  const length = lengthText((to ?? now) - from)
  const because = cause === undefined ? [] : [cause]
  switch (kind) {
    case "connection":
      return [
        `Connection ${generation}`,
        to === undefined ? `up for ${length}` : `was up for ${length}`,
        ...lost(cause)
      ]
    case "attempt":
      return [`Attempt ${attempt}`, to === undefined ? `under way for ${length}` : `took ${length}`]
    case "failure":
      return [`Attempt ${attempt} failed`, `after ${length}`, ...because]
    case "delay": {
      const last = `${failures} ${failures === 1 ? "failure" : "failures"} in a row`
      return [
        until === undefined ? `Delay of ${length}` : `Next attempt in ${lengthText(until - now)}`,
        last,
        ...because
      ]
    }
    case "exhausted":
      return ["Gave up", `after ${failures} failures`, ...because]
    default:
      return [kindNames[kind], `for ${length}`]
  }
}

const lost = (cause: string | undefined): ReadonlyArray<string> => (cause === undefined ? [] : [`lost: ${cause}`])

/** What a time line shows, for those who don't see it. */
export const summary = (shares: ReadonlyMap<Kind, number>, failures: number, length: number): string => {
  const parts = [...shares]
    .sort(([, one], [, other]) => other - one)
    .filter(([kind]) => kind !== "failure" && kind !== "attempt")
    .map(([kind, share]) => `${kindNames[kind].toLowerCase()} ${Math.round(share * 100)} %`)
  const failed = failures === 0 ? [] : [`${failures} failed ${failures === 1 ? "attempt" : "attempts"}`]
  const told = [...parts, ...failed].join(", ")
  return `Time line of ${lengthText(length)}: ${told === "" ? "nothing yet" : told}`
}

/** The states, the worst first. */
const order: ReadonlyArray<string> = [
  "Exhausted",
  "Waiting",
  "Connecting",
  "Connected",
  "Restarting",
  "Disconnecting",
  "Stopped",
  "Init"
] satisfies ReadonlyArray<Service["current"]["state"]>

/** What the services are doing, all in all: how many are in each state, the worst first. */
export const tally = (
  services: ReadonlyArray<Service>
): ReadonlyArray<{ readonly name: string; readonly count: number; readonly state: string }> => {
  const counts = new Map<string, { name: string; count: number; state: string }>()
  for (const service of services) {
    const name = stateName(service)
    const known = counts.get(name) ?? { name, count: 0, state: service.current.state }
    counts.set(name, { ...known, count: known.count + 1 })
  }
  return [...counts.values()].sort((one, other) => order.indexOf(one.state) - order.indexOf(other.state))
}
