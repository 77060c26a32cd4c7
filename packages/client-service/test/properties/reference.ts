import { type Cause, Duration } from "effect"
import type { ConnectionState } from "effect-client-service"
import type { Asked, PeerError, Protocol } from "./peer.js"
import type { Options } from "./script.js"

export type State = ConnectionState.ConnectionState<Protocol, PeerError>

type Tag = State["_tag"]

/**
 * What may follow each state, whatever happens. Waiting and Exhausted are left by way of Disconnecting if the connection
 * that was lost is still closing, since `stop` waits for it.
 */
const successors: Record<Tag, ReadonlyArray<Tag>> = {
  Init: ["Connecting", "Stopped"],
  Connecting: ["Disconnecting", "Connected", "Waiting", "Exhausted"],
  Connected: ["Disconnecting", "Waiting", "Exhausted", "Connecting", "Connected"],
  Waiting: ["Stopped", "Disconnecting", "Connecting"],
  Disconnecting: ["Restarting", "Stopped"],
  Restarting: ["Disconnecting", "Connecting"],
  Stopped: ["Connecting"],
  Exhausted: ["Connecting", "Stopped", "Disconnecting"]
}

/**
 * What the states that a service publishes have to be, given what went before: a model of its own, which shares nothing
 * with the service.
 */
export class Reference {
  state: State
  attempt = 0
  failures = 0
  generation = 0
  /** The causes of the attempts that failed. */
  readonly failedAttempts: Array<Cause.Cause<unknown>> = []
  private lastAsked = 0
  private since = 0

  constructor(
    private readonly options: Options,
    private readonly asked: ReadonlyArray<Asked>,
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
        const isNew = before._tag !== "Waiting" && before._tag !== "Connected"
        this.attempt = isNew ? 1 : this.attempt + 1
        if (isNew || (before._tag === "Connected" && this.isStable(before.connectedAt, now))) this.failures = 0
        return [
          ["attempt", this.attempt, state.attempt],
          ["failures", this.failures, state.failures],
          ...(before._tag === "Waiting"
            ? [["is late", false, now > Math.max(before.retryAt, this.since)] as const]
            : [])
        ]
      }
      case "Connected": {
        this.generation += 1
        const connected = [
          ["generation", this.generation, state.generation],
          ["connectedAt", now, state.connectedAt]
        ] as const
        if (before._tag !== "Connected") return connected
        this.attempt += 1
        if (this.isStable(before.connectedAt, now)) this.failures = 0
        const age = now - before.connectedAt
        return [...connected, ["is too early", false, age < 0.8 * (this.options.maxAge ?? Infinity)]]
      }
      case "Waiting": {
        const asked = this.failed(before, state.cause, now)
        const delay = Duration.toMillis(state.delay)
        return [
          ["failures", this.failures, state.failures],
          ["failures of which the policy is told", this.failures, asked?.failures],
          ["delay", delayOf(asked, delay), delay],
          ["retryAt", (asked !== undefined && isGood(asked) ? asked.at : now) + delay, state.retryAt]
        ]
      }
      case "Exhausted": {
        const asked = this.failed(before, state.cause, now)
        return [
          ["failures", this.failures, state.failures],
          ["answer of the policy", "done", asked?.answer]
        ]
      }
      default:
        return []
    }
  }

  private failed(before: State, cause: Cause.Cause<unknown>, now: number): Asked | undefined {
    if (before._tag === "Connecting") this.failedAttempts.push(cause)
    const overAt = before._tag === "Connected" ? (before.protocol.attempt?.overAt ?? now) : now
    if (before._tag === "Connected" && this.isStable(before.connectedAt, overAt)) this.failures = 0
    this.failures += 1
    // The last one, since a question that a reconnect cut short was asked again.
    const index = this.asked.reduce(
      (last, { failures }, index) => (index >= this.lastAsked && failures === this.failures ? index : last),
      -1
    )
    if (index >= 0) this.lastAsked = index + 1
    return this.asked[index]
  }

  private isStable(since: number, until: number): boolean {
    return until - since >= this.options.resetAfter
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
  if (asked[index]?.failures === 1) return { least: 0, most: 0 }
  const first = asked.slice(0, index).reduce((first, { failures }, index) => (failures === 1 ? index : first), 0)
  const good = asked.slice(first, index).filter(isGood)
  return { least: good.filter(({ isCutShort }) => !isCutShort).length, most: good.length }
}

/** Whether the policy has answered, and as it should. */
export const isGood = ({ answer, answeredAt }: Asked): boolean =>
  answeredAt !== undefined &&
  (answer === "done" || answer === "hangs" || (typeof answer === "number" && answer >= 0 && answer < Infinity))
