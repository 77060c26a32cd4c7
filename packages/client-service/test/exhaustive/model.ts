/**
 * What a service has to do, written down a second time: small, pure, and sharing nothing with the service. Connections
 * open at once. They also close at once, but for slow ones, which close when they are told to.
 */

export type Event =
  | "start"
  | "stop"
  | "reconnect"
  | "accept"
  | "acceptSlow"
  /** The attempt opens a slow connection, and fails nevertheless. */
  | "reject"
  | "refuse"
  /** And the policy grants no retry. */
  | "refuseForGood"
  | "lose"
  | "loseForGood"
  /** Every connection but the present one reports its loss, once more. */
  | "loseOld"
  /** A slow connection closes, the oldest of those that are to. */
  | "close"
  /** The clock moves to the next instant at which something is due. */
  | "wait"
  /** The connection stays up until it counts as stable. */
  | "stay"

export const events: ReadonlyArray<Event> = [
  "start",
  "stop",
  "reconnect",
  "accept",
  "acceptSlow",
  "reject",
  "refuse",
  "refuseForGood",
  "lose",
  "loseForGood",
  "loseOld",
  "close",
  "wait",
  "stay"
]

export const connectTimeout = 10_000
export const closeTimeout = 1500
export const resetAfter = 5000
export const delay = (failures: number): number => 1000 * failures

export type Tag =
  | "Init"
  | "Connecting"
  | "Connected"
  | "Waiting"
  | "Disconnecting"
  | "Restarting"
  | "Stopped"
  | "Exhausted"

export interface Waiter {
  /** How many attempts may fail, this one included. */
  readonly failures: number
  readonly result: string | undefined
}

export interface Model {
  readonly now: number
  readonly tag: Tag
  /** All the tags so far. */
  readonly tags: ReadonlyArray<Tag>
  readonly attempt: number
  readonly failures: number
  readonly generation: number
  readonly connectedAt: number
  readonly retryAt: number
  /** When the attempt under way is given up. */
  readonly attemptUntil: number | undefined
  /** The attempt failed after it had opened a connection, which is closing. */
  readonly isRejected: boolean
  /** The connection that is up. */
  readonly up: "fast" | "slow" | undefined
  /** How long the service waits for the connection that is closing. */
  readonly closingUntil: number | undefined
  /** How many are closing that the service waits for no more. */
  readonly overdue: number
  readonly attempts: number
  readonly opens: number
  readonly closes: number
  /** How many stops have not completed. */
  readonly stops: number
  readonly waiters: ReadonlyArray<Waiter>
}

export const initial: Model = {
  now: 0,
  tag: "Init",
  tags: ["Init"],
  attempt: 0,
  failures: 0,
  generation: 0,
  connectedAt: 0,
  retryAt: 0,
  attemptUntil: undefined,
  isRejected: false,
  up: undefined,
  closingUntil: undefined,
  overdue: 0,
  attempts: 0,
  opens: 0,
  closes: 0,
  stops: 0,
  waiters: []
}

/** Whether the event can come about at all. A call of the service always can. */
export const canHappen = (model: Model, event: Event): boolean => {
  switch (event) {
    case "accept":
    case "acceptSlow":
    case "reject":
    case "refuse":
    case "refuseForGood":
      return model.attemptUntil !== undefined
    case "lose":
    case "loseForGood":
      return model.tag === "Connected"
    case "loseOld":
      return model.opens > (model.up === undefined ? 0 : 1)
    case "close":
      return model.closingUntil !== undefined || model.overdue > 0
    case "wait":
      return nextInstant(model) < Infinity
    case "stay":
      return model.tag === "Connected" && !isStable(model)
    default:
      return true
  }
}

/** What the service has to be once everything that follows of the event has come to rest. */
export const after = (model: Model, event: Event): Model => {
  switch (event) {
    case "start":
      if (["Init", "Stopped", "Exhausted"].includes(model.tag)) return goOn(begin(model, { attempt: 1, failures: 0 }))
      return model.tag === "Disconnecting" ? enter(model, "Restarting") : model
    case "stop":
      return stop(model)
    case "reconnect":
      if (model.tag === "Connected") return goOn(close(again({ ...model, failures: failuresSoFar(model) })))
      return model.tag === "Waiting" ? goOn(again(model)) : model
    case "accept":
    case "acceptSlow":
      return connected({ ...open(model), up: event === "accept" ? "fast" : "slow" })
    case "reject":
      return goOn(close({ ...open(model), up: "slow", isRejected: true }))
    case "refuse":
    case "refuseForGood":
      return failed({ ...model, attemptUntil: undefined }, `attempt ${model.attempts}`, event === "refuse")
    case "lose":
    case "loseForGood":
      return retry(close({ ...model, failures: failuresSoFar(model) }), event === "lose")
    case "loseOld":
      return model
    case "close":
      return model.overdue > 0
        ? { ...model, overdue: model.overdue - 1, closes: model.closes + 1 }
        : goOn({ ...model, closingUntil: undefined, closes: model.closes + 1 })
    case "wait":
      return elapse({ ...model, now: nextInstant(model) })
    case "stay":
      return elapse({ ...model, now: model.connectedAt + resetAfter })
  }
}

/** Has others wait: for as long as it takes, and until one or two attempts have failed. */
export const wait = (model: Model): Model => {
  const result =
    model.tag === "Connected"
      ? `protocol ${model.attempts}`
      : model.tag === "Stopped"
        ? "ServiceStopped"
        : model.tag === "Exhausted"
          ? "RetriesExhausted"
          : undefined
  const waiters = [Infinity, 1, 2].map((failures) => ({ failures, result }))
  return { ...model, waiters: [...model.waiters, ...waiters] }
}

/** How many sleeps the service needs: a delay, or the time that an attempt or a close is given. */
export const sleeps = ({ attemptUntil, closingUntil, tag }: Model): number => {
  if (tag === "Waiting" || attemptUntil !== undefined) return 1
  return closingUntil !== undefined && ["Connecting", "Disconnecting", "Restarting"].includes(tag) ? 1 : 0
}

const isStable = ({ connectedAt, now }: Model): boolean => now - connectedAt >= resetAfter

const failuresSoFar = (model: Model): number => (isStable(model) ? 0 : model.failures)

const nextInstant = ({ attemptUntil, closingUntil, retryAt, tag }: Model): number =>
  Math.min(attemptUntil ?? Infinity, closingUntil ?? Infinity, tag === "Waiting" ? retryAt : Infinity)

const enter = (model: Model, tag: Tag): Model => ({ ...model, tag, tags: [...model.tags, tag] })

const begin = (model: Model, counts: { readonly attempt: number; readonly failures: number }): Model =>
  enter({ ...model, ...counts }, "Connecting")

const again = (model: Model): Model => begin(model, { attempt: model.attempt + 1, failures: model.failures })

const open = (model: Model): Model => ({ ...model, attemptUntil: undefined, opens: model.opens + 1 })

const close = (model: Model): Model => {
  if (model.up === undefined) return model
  const closed: Model = { ...model, up: undefined }
  return model.up === "slow"
    ? { ...closed, closingUntil: model.now + closeTimeout }
    : { ...closed, closes: model.closes + 1 }
}

const resolve = (model: Model, result: string): Model => ({
  ...model,
  waiters: model.waiters.map((waiter) => (waiter.result === undefined ? { ...waiter, result } : waiter))
})

const connected = (model: Model): Model => {
  const generation = model.generation + 1
  const next = enter({ ...model, generation, connectedAt: model.now }, "Connected")
  return resolve(next, `protocol ${model.attempts}`)
}

const stop = (model: Model): Model => {
  const halted: Model = { ...close(model), attemptUntil: undefined, isRejected: false }
  switch (model.tag) {
    case "Connecting":
    case "Connected":
      return goOn(enter({ ...halted, stops: model.stops + 1 }, "Disconnecting"))
    case "Restarting":
      return enter({ ...model, stops: model.stops + 1 }, "Disconnecting")
    case "Disconnecting":
      return { ...model, stops: model.stops + 1 }
    case "Stopped":
      return model
    default:
      return model.closingUntil === undefined
        ? stopped(model)
        : enter({ ...model, stops: model.stops + 1 }, "Disconnecting")
  }
}

const stopped = (model: Model): Model => resolve(enter({ ...model, stops: 0 }, "Stopped"), "ServiceStopped")

/** Does what has waited for the connection to close. */
const goOn = (model: Model): Model => {
  if (model.closingUntil !== undefined) return model
  switch (model.tag) {
    case "Connecting":
      if (model.isRejected) return failed({ ...model, isRejected: false }, `attempt ${model.attempts}`, true)
      return { ...model, attempts: model.attempts + 1, attemptUntil: model.now + connectTimeout }
    case "Disconnecting":
      return stopped(model)
    case "Restarting":
      return goOn(begin({ ...model, stops: 0 }, { attempt: 1, failures: 0 }))
    default:
      return model
  }
}

const failed = (model: Model, result: string, isRetried: boolean): Model => {
  const waiters = model.waiters.map((waiter) => {
    if (waiter.result !== undefined) return waiter
    return { failures: waiter.failures - 1, result: waiter.failures === 1 ? result : undefined }
  })
  return retry({ ...model, waiters }, isRetried)
}

const retry = (model: Model, isRetried: boolean): Model => {
  const failures = model.failures + 1
  if (isRetried) return enter({ ...model, failures, retryAt: model.now + delay(failures) }, "Waiting")
  return resolve(enter({ ...model, failures }, "Exhausted"), "RetriesExhausted")
}

/** What has become due by now. */
const elapse = (model: Model): Model => {
  const { attemptUntil, closingUntil, now, retryAt, tag } = model
  if (attemptUntil !== undefined && attemptUntil <= now) {
    return failed({ ...model, attemptUntil: undefined }, "ConnectTimeout", true)
  }
  if (closingUntil !== undefined && closingUntil <= now) {
    return elapse(goOn({ ...model, closingUntil: undefined, overdue: model.overdue + 1 }))
  }
  return tag === "Waiting" && retryAt <= now ? goOn(again(model)) : model
}
