import { Duration, Option } from "effect"
import type { ConnectionState } from "effect-client-service"
import { type Counts, counted, initial, successors } from "../support/model.js"
import type { Asked, PeerError, Protocol } from "./peer.js"
import type { Options } from "./script.js"

export type State = ConnectionState.ConnectionState<Protocol, PeerError>

/**
 * What the states that a service publishes have to be by the model, given what went before.
 */
export class Reference {
  state: State
  counts: Counts = initial
  private since = 0

  constructor(
    private readonly options: Options,
    /** The question to the policy that a state came of. */
    private readonly askedFor: (state: State) => Asked | undefined,
    /** Whether the attempt that is left failed, or the connection is lost. */
    private readonly isFailed: (before: State) => boolean,
    first: State
  ) {
    this.state = first
  }

  /** Takes the next state, and tells what is wrong with it. */
  next(state: State, now: number): ReadonlyArray<string> {
    const before = this.state
    this.state = state
    const transition = `${before._tag} -> ${state._tag}`
    if (!successors[before._tag].includes(state._tag)) return [`${transition} is no transition`]
    const expected = this.expected(before, state, now)
    this.since = now
    return expected.flatMap(([what, expected, actual]) =>
      expected === actual ? [] : [`${transition}: ${what} is ${actual}, not ${expected}`]
    )
  }

  private expected(before: State, state: State, now: number): ReadonlyArray<readonly [string, unknown, unknown]> {
    switch (state._tag) {
      case "Connecting": {
        const isNew = ["Init", "Stopped", "Exhausted", "Restarting"].includes(before._tag)
        const failures = this.failuresSoFar(before, this.endOf(before, now))
        // A reconnect takes over while the policy is asked, and the failure counts all the same.
        const isOver = before._tag === "Connecting" || before._tag === "Connected"
        const isCounted = isOver && state.failures === failures + 1 && this.isFailed(before)
        this.counts = isNew
          ? counted.started(this.counts)
          : counted.again(this.counts, isCounted ? state.failures : failures)
        return [
          ["attempt", this.counts.attempt, state.attempt],
          ["failures", this.counts.failures, state.failures],
          [
            "has a cause",
            state.failures > 0 && before._tag === "Waiting",
            Option.isSome(state.cause) && before._tag === "Waiting"
          ],
          ...(before._tag === "Waiting"
            ? [["is late", false, now > Math.max(before.retryAt, this.since)] as const]
            : [])
        ]
      }
      case "Connected": {
        this.counts =
          before._tag === "Connected"
            ? counted.replaced(this.counts, this.failuresSoFar(before, now))
            : counted.connected(this.counts)
        const connected = [
          ["generation", this.counts.generation, state.generation],
          ["connectedAt", now, state.connectedAt]
        ] as const
        if (before._tag !== "Connected") return connected
        const age = now - before.connectedAt
        return [...connected, ["is too early", false, age < 0.8 * (this.options.maxAge ?? Infinity)]]
      }
      case "Waiting": {
        const asked = this.failed(before, state, now)
        const delay = Duration.toMillis(state.delay)
        return [
          ["failures", this.counts.failures, state.failures],
          ["failures of which the policy is told", this.counts.failures, asked?.failures],
          ["delay", delayOf(asked, delay), delay],
          ["retryAt", (asked !== undefined && isGood(asked) ? asked.at : now) + delay, state.retryAt]
        ]
      }
      case "Exhausted": {
        const asked = this.failed(before, state, now)
        return [
          ["failures", this.counts.failures, state.failures],
          ["answer of the policy", "done", asked?.answer]
        ]
      }
      default:
        return []
    }
  }

  private failed(before: State, state: State, now: number): Asked | undefined {
    this.counts = counted.failed(this.counts, this.failuresSoFar(before, this.endOf(before, now)))
    const asked = this.askedFor(state)
    if (asked !== undefined) asked.isTaken = true
    return asked
  }

  /** When the connection ended, which the policy may have been asked about since. */
  private endOf(before: State, now: number): number {
    return before._tag === "Connected" ? (before.protocol.attempt?.overAt ?? now) : now
  }

  private failuresSoFar(before: State, until: number): number {
    const isStable = before._tag === "Connected" && until - before.connectedAt >= this.options.resetAfter
    return isStable ? 0 : this.counts.failures
  }
}

/** The delay that follows from an answer. Where the default policy steps in, any delay that it may draw. */
const delayOf = (asked: Asked | undefined, delay: number): number | string => {
  if (asked === undefined) return "one of a policy that was asked"
  const { answer, failures } = asked
  if (isGood(asked)) return answer === "hangs" ? 1000 : typeof answer === "number" ? answer : "none"
  const bound = Math.min(30_000, 500 * 2 ** (failures - 1))
  return delay >= 0 && delay <= bound && Number.isInteger(delay) ? delay : `one of the default policy, to ${bound}`
}

/**
 * How many steps a policy must have made before it is asked: as many as it answered well since it began afresh.
 */
export const stepsBefore = (
  asked: ReadonlyArray<Asked>,
  index: number
): { readonly least: number; readonly most: number } => {
  const first = asked
    .slice(0, index + 1)
    .reduce((first, { failures, isAfresh }, index) => (failures === 1 || isAfresh ? index : first), 0)
  const good = asked.slice(first, index).filter(isGood)
  const taken = good.filter(({ isCutShort, isTaken }) => isTaken && !isCutShort)
  return { least: taken.length, most: good.length }
}

/** Whether the policy has answered, and as it should. */
export const isGood = ({ answer, answeredAt }: Asked): boolean =>
  answeredAt !== undefined &&
  (answer === "done" || answer === "hangs" || (typeof answer === "number" && answer >= 0 && answer < Infinity))
