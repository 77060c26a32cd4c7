/**
 * What a service has done, as bars on an axis of time.
 */
import type { Transition } from "effect-client-service/ClientServices"

export type Kind = "attempt" | "failure" | "delay" | "connection" | "stopping" | "stopped" | "exhausted"

export interface Bar {
  readonly kind: Kind
  readonly from: number
  /** Nothing while it goes on. */
  readonly to?: number
  /** When a delay will be over. */
  readonly until?: number
  /** What it was like in the beginning. */
  readonly transition: Transition
  /** Of a failure, or of a connection that was lost, the class of the error. */
  readonly cause?: string
}

/** The bars of states, the oldest first. A service that has not been started has none. */
export const barsOf = (transitions: ReadonlyArray<Transition>): ReadonlyArray<Bar> =>
  transitions.flatMap((transition, index) => {
    const next = transitions[index + 1]
    const kind = kindOf(transition, next)
    if (kind === undefined) return []
    const cause = kind === "delay" || kind === "attempt" || kind === "exhausted" ? transition.cause : endedBy(next)
    return {
      kind,
      from: transition.at,
      ...(next && { to: Math.max(next.at, transition.at) }),
      ...(next === undefined && transition.retryAt !== undefined && { until: transition.retryAt }),
      transition,
      ...(cause !== undefined && { cause })
    }
  })

const kindOf = ({ state }: Transition, next: Transition | undefined): Kind | undefined => {
  switch (state) {
    case "Init":
      return undefined
    case "Connecting":
      return isFailure(next) ? "failure" : "attempt"
    case "Connected":
      return "connection"
    case "Waiting":
      return "delay"
    case "Disconnecting":
    case "Restarting":
      return "stopping"
    case "Stopped":
      return "stopped"
    case "Exhausted":
      return "exhausted"
  }
}

const isFailure = (next: Transition | undefined): boolean => next?.state === "Waiting" || next?.state === "Exhausted"

const endedBy = (next: Transition | undefined): string | undefined => (isFailure(next) ? next?.cause : undefined)

/** How much of a span of time was of what kind, as a fraction of what is known of it. */
export const shares = (bars: ReadonlyArray<Bar>, from: number, now: number): ReadonlyMap<Kind, number> => {
  const sums = new Map<Kind, number>()
  let all = 0
  for (const bar of bars) {
    const length = Math.min(bar.to ?? now, now) - Math.max(bar.from, from)
    if (length <= 0) continue
    all += length
    sums.set(bar.kind, (sums.get(bar.kind) ?? 0) + length)
  }
  return new Map([...sums].map(([kind, length]) => [kind, length / all]))
}

/** What is at a moment: a failure rather than what is beside it, since it may be thin, if it is not further than `near`. */
export const barAt = (bars: ReadonlyArray<Bar>, at: number, near: number, now: number): Bar | undefined => {
  const distance = (bar: Bar) => Math.max(bar.from - at, at - (bar.to ?? Math.max(now, bar.until ?? now)), 0)
  let best: Bar | undefined
  for (const bar of bars) {
    const isThin = bar.kind === "failure" || bar.kind === "attempt"
    if (distance(bar) > (isThin ? near : 0)) continue
    if (best === undefined || rank(bar) > rank(best) || (rank(bar) === rank(best) && distance(bar) <= distance(best)))
      best = bar
  }
  return best
}

const rank = ({ kind }: Bar): number => (kind === "failure" ? 2 : kind === "attempt" ? 1 : 0)
