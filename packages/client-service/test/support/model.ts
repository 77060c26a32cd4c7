/**
 * What a service has to do, written down a second time: small, pure, and sharing nothing with the service.
 *
 * First come the table and the counts, which hold whatever the peer does: histories are checked against them. The rest
 * tells all about a service whose peer is simple: its connections open at once, and close at once, but for slow ones,
 * which close when they are told to; its policy answers at once.
 */

export type Tag =
  | "Init"
  | "Connecting"
  | "Connected"
  | "Waiting"
  | "Disconnecting"
  | "Restarting"
  | "Stopped"
  | "Exhausted"

/**
 * What may follow each state, whatever happens. Waiting and Exhausted are left by way of Disconnecting if the connection
 * that was lost is still closing, since `stop` waits for it.
 */
export const successors: Record<Tag, ReadonlyArray<Tag>> = {
  Init: ["Connecting", "Stopped"],
  Connecting: ["Connecting", "Connected", "Waiting", "Exhausted", "Disconnecting"],
  Connected: ["Connected", "Connecting", "Waiting", "Exhausted", "Disconnecting"],
  Waiting: ["Connecting", "Stopped", "Disconnecting"],
  Disconnecting: ["Disconnecting", "Restarting", "Stopped"],
  Restarting: ["Connecting", "Disconnecting"],
  Stopped: ["Connecting"],
  Exhausted: ["Connecting", "Stopped", "Disconnecting"]
}

export type Command = "start" | "stop" | "reconnect"

/** The state that a command leads to before it returns. `isOpen`: whether a connection is still closing. */
export const commanded: Record<Command, (from: Tag, isOpen: boolean) => Tag> = {
  start: (from) => {
    if (from === "Init" || from === "Stopped" || from === "Exhausted") return "Connecting"
    return from === "Disconnecting" ? "Restarting" : from
  },
  stop: (from, isOpen) => {
    if (from === "Connecting" || from === "Connected" || from === "Restarting") return "Disconnecting"
    if (from === "Init") return "Stopped"
    if (from === "Waiting" || from === "Exhausted") return isOpen ? "Disconnecting" : "Stopped"
    return from
  },
  reconnect: (from) => (from === "Connected" || from === "Waiting" || from === "Exhausted" ? "Connecting" : from)
}

export interface Counts {
  /** Attempts since `start`. */
  readonly attempt: number
  /** In a row. */
  readonly failures: number
  /** Connections ever. */
  readonly generation: number
}

/** How the counts change. `failures` are those so far: none after a connection that was stable. */
export const counted = {
  started: ({ generation }: Counts): Counts => ({ attempt: 1, failures: 0, generation }),
  again: ({ attempt, generation }: Counts, failures: number): Counts => ({
    attempt: attempt + 1,
    failures,
    generation
  }),
  connected: ({ attempt, failures, generation }: Counts): Counts => ({
    ...{ attempt, failures },
    generation: generation + 1
  }),
  replaced: ({ attempt, generation }: Counts, failures: number): Counts => ({
    ...{ attempt: attempt + 1, failures },
    generation: generation + 1
  }),
  failed: ({ attempt, generation }: Counts, failures: number): Counts => ({
    ...{ attempt, generation },
    failures: failures + 1
  })
}

export const isRunning = (tag: Tag): boolean => ["Connecting", "Connected", "Waiting", "Restarting"].includes(tag)

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
  /** The attempt goes on until a reconnect begins it anew at once. */
  | "linger"
  /** Somebody begins to use the connection, and does so until told to finish. */
  | "use"
  | "finish"

/** Those without which there is nothing to see. */
export const basic: ReadonlyArray<Event> = [
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

export const events: ReadonlyArray<Event> = [...basic, "linger", "use", "finish"]

export const connectTimeout = 10_000
export const closeTimeout = 1500
export const resetAfter = 5000
export const drainTimeout = 3000
/** The age from which a reconnect begins an attempt anew at once. */
export const youth = 1000
export const delay = (failures: number): number => 1000 * failures

export interface Waiter {
  /** How many attempts may fail, this one included. */
  readonly failures: number
  readonly result: string | undefined
}

export interface Model extends Counts {
  readonly now: number
  readonly tag: Tag
  /** All the tags so far. */
  readonly tags: ReadonlyArray<Tag>
  readonly connectedAt: number
  readonly retryAt: number
  /** When the attempt under way has begun, and when it is given up. */
  readonly attemptSince: number
  readonly attemptUntil: number | undefined
  /** When it is begun anew. */
  readonly renewAt: number | undefined
  /** The attempt failed after it had opened a connection, which is closing. */
  readonly isRejected: boolean
  /** The connection that is up. */
  readonly up: "fast" | "slow" | undefined
  /** How many use it. */
  readonly uses: number
  /** Until when they may do so although the service stops. */
  readonly drainUntil: number | undefined
  /** Whether a stop that lets them has turned everybody away, until a start admits them again. */
  readonly isTurnedAway: boolean
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
  attemptSince: 0,
  attemptUntil: undefined,
  renewAt: undefined,
  isRejected: false,
  up: undefined,
  uses: 0,
  drainUntil: undefined,
  isTurnedAway: false,
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
      return model.tag === "Connected" || (event === "lose" && model.drainUntil !== undefined)
    case "loseOld":
      return model.opens > (model.up === undefined ? 0 : 1)
    case "close":
      return model.closingUntil !== undefined || model.overdue > 0
    case "wait":
      return nextInstant(model) < Infinity
    case "stay":
      return model.tag === "Connected" && !isStable(model)
    case "linger":
      return model.attemptUntil !== undefined && model.now < model.attemptSince + youth
    case "use":
      return model.tag === "Connected" && model.uses < 2
    case "finish":
      return model.uses > 0
    default:
      return true
  }
}

/** What the service has to be once everything that follows of the event has come to rest. */
export const after = (model: Model, event: Event): Model => {
  switch (event) {
    case "start":
      if (commanded.start(model.tag, false) === "Connecting" && !isRunning(model.tag)) return goOn(start(model))
      return model.tag === "Disconnecting" ? enter({ ...model, isTurnedAway: false }, "Restarting") : model
    case "stop":
      return stop(model)
    case "reconnect":
      return reconnect(model)
    case "accept":
    case "acceptSlow":
      return connected({ ...open(model), up: event === "accept" ? "fast" : "slow" })
    case "reject":
      return goOn(close({ ...tell(open(model), `attempt ${model.attempts}`), up: "slow", isRejected: true }))
    case "refuse":
    case "refuseForGood":
      return retry(tell(over(model), `attempt ${model.attempts}`), event === "refuse")
    case "lose":
    case "loseForGood":
      if (model.drainUntil !== undefined) return goOn(close(model))
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
    case "linger":
      return elapse({ ...model, now: model.attemptSince + youth })
    case "use":
      return { ...model, uses: model.uses + 1 }
    case "finish": {
      const finished = { ...model, uses: model.uses - 1 }
      return model.drainUntil !== undefined && finished.uses === 0 ? goOn(close(finished)) : finished
    }
  }
}

/** Has others wait: for as long as it takes, and until one or two attempts have failed. */
export const wait = (model: Model): Model => {
  const result =
    model.tag === "Connected"
      ? `protocol ${model.attempts}`
      : model.tag === "Stopped" || (model.tag === "Disconnecting" && model.isTurnedAway)
        ? "ServiceStopped"
        : model.tag === "Exhausted"
          ? "RetriesExhausted"
          : undefined
  const waiters = [Infinity, 1, 2].map((failures) => ({ failures, result }))
  return { ...model, waiters: [...model.waiters, ...waiters] }
}

/** How many sleeps the service needs: a delay, or the time that an attempt or a close is given. */
export const sleeps = ({ attemptUntil, closingUntil, drainUntil, tag }: Model): number => {
  if (tag === "Waiting" || attemptUntil !== undefined || drainUntil !== undefined) return 1
  return closingUntil !== undefined && ["Connecting", "Disconnecting", "Restarting"].includes(tag) ? 1 : 0
}

const isStable = ({ connectedAt, now }: Model): boolean => now - connectedAt >= resetAfter

const failuresSoFar = (model: Model): number => (isStable(model) ? 0 : model.failures)

const nextInstant = ({ attemptUntil, closingUntil, drainUntil, renewAt, retryAt, tag }: Model): number =>
  Math.min(
    ...[attemptUntil, renewAt, closingUntil, drainUntil].map((at = Infinity) => at),
    tag === "Waiting" ? retryAt : Infinity
  )

const enter = (model: Model, tag: Tag): Model => ({ ...model, tag, tags: [...model.tags, tag] })

const start = (model: Model): Model => enter({ ...model, ...counted.started(model) }, "Connecting")

const again = (model: Model, failures = model.failures): Model =>
  enter({ ...model, ...counted.again(model, failures) }, "Connecting")

const reconnect = (model: Model): Model => {
  switch (model.tag) {
    case "Connected":
      return goOn(close(again(model, failuresSoFar(model))))
    case "Waiting":
      return goOn(again(model))
    case "Exhausted":
      return goOn(start(model))
    case "Connecting":
      // One that has failed counts all the same.
      if (model.isRejected) return again({ ...model, isRejected: false }, model.failures + 1)
      if (model.attemptUntil === undefined) return model
      return elapse({ ...model, renewAt: model.attemptSince + youth })
    default:
      return model
  }
}

/** Without the attempt that was under way. */
const over = (model: Model): Model => ({ ...model, attemptUntil: undefined, renewAt: undefined })

const open = (model: Model): Model => ({ ...over(model), opens: model.opens + 1 })

const close = (model: Model): Model => {
  if (model.up === undefined) return model
  const closed: Model = { ...model, up: undefined, uses: 0, drainUntil: undefined }
  return model.up === "slow"
    ? { ...closed, closingUntil: model.now + closeTimeout }
    : { ...closed, closes: model.closes + 1 }
}

const resolve = (model: Model, result: string): Model => ({
  ...model,
  waiters: model.waiters.map((waiter) => (waiter.result === undefined ? { ...waiter, result } : waiter))
})

const connected = (model: Model): Model => {
  const next = enter({ ...model, ...counted.connected(model), connectedAt: model.now }, "Connected")
  return resolve(next, `protocol ${model.attempts}`)
}

const stop = (model: Model): Model => {
  const tag = commanded.stop(model.tag, model.closingUntil !== undefined)
  if (tag === "Stopped") return model.tag === "Stopped" ? model : stopped(model)
  const stopping = { ...model, stops: model.stops + 1 }
  if (model.tag === "Disconnecting") return stopping
  // Those who use the connection may go on for a while, and nobody else is let in.
  const drainUntil = model.drainUntil ?? model.now + drainTimeout
  if (model.uses > 0) return resolve(enter({ ...stopping, drainUntil, isTurnedAway: true }, tag), "ServiceStopped")
  return goOn(enter({ ...close(over(stopping)), isRejected: false }, tag))
}

const stopped = (model: Model): Model =>
  resolve(enter({ ...model, stops: 0, isTurnedAway: false }, "Stopped"), "ServiceStopped")

/** Does what has waited for the connection to close. */
const goOn = (model: Model): Model => {
  if (model.closingUntil !== undefined || model.drainUntil !== undefined) return model
  switch (model.tag) {
    case "Connecting":
      if (model.isRejected) return retry({ ...model, isRejected: false }, true)
      return {
        ...model,
        attempts: model.attempts + 1,
        attemptSince: model.now,
        attemptUntil: model.now + connectTimeout
      }
    case "Disconnecting":
      return stopped(model)
    case "Restarting":
      return goOn(start({ ...model, stops: 0 }))
    default:
      return model
  }
}

/** Lets those know who wait until an attempt fails. */
const tell = (model: Model, result: string): Model => {
  const waiters = model.waiters.map((waiter) => {
    if (waiter.result !== undefined) return waiter
    return { failures: waiter.failures - 1, result: waiter.failures === 1 ? result : undefined }
  })
  return { ...model, waiters }
}

const retry = (model: Model, isRetried: boolean): Model => {
  const failed = { ...model, ...counted.failed(model, model.failures) }
  if (isRetried) return enter({ ...failed, retryAt: model.now + delay(failed.failures) }, "Waiting")
  return resolve(enter(failed, "Exhausted"), "RetriesExhausted")
}

/** What has become due by now. */
const elapse = (model: Model): Model => {
  const { attemptUntil, closingUntil, drainUntil, now, renewAt, retryAt, tag } = model
  if (attemptUntil !== undefined && attemptUntil <= now) return retry(tell(over(model), "ConnectTimeout"), true)
  if (renewAt !== undefined && renewAt <= now) return goOn(again(over(model)))
  if (drainUntil !== undefined && drainUntil <= now) return elapse(goOn(close(model)))
  if (closingUntil !== undefined && closingUntil <= now) {
    return elapse(goOn({ ...model, closingUntil: undefined, overdue: model.overdue + 1 }))
  }
  return tag === "Waiting" && retryAt <= now ? goOn(again(model)) : model
}
