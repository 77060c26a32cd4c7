import { after, canHappen, type Event, initial, type Model, wait } from "../support/model.js"

/** A sequence of events, and the model before the first and after each. */
export interface Sequence {
  readonly events: ReadonlyArray<Event>
  readonly models: ReadonlyArray<Model>
}

/**
 * All sequences up to a length: those that are as long, and the shorter ones whose last event changes nothing, since what
 * could follow is tried without that event as well.
 */
export function* sequences(
  length: number,
  alphabet: ReadonlyArray<Event>,
  so: Sequence = { events: [], models: [initial] }
): Generator<Sequence> {
  const model = so.models[so.models.length - 1] ?? initial
  for (const event of alphabet.filter((event) => canHappen(model, event))) {
    const waited = wait(model)
    const next = after(waited, event)
    const sequence = { events: [...so.events, event], models: [...so.models, next] }
    if (next === waited || sequence.events.length === length) yield sequence
    else yield* sequences(length, alphabet, sequence)
  }
}

/** What tells states apart, whatever the time and the counts. */
export const stateOf = (model: Model): string => {
  const { attemptUntil, closingUntil, drainUntil, failures, isRejected, overdue, renewAt, retryAt, tag, up, uses } =
    model
  const until = closingUntil === undefined ? "closed" : Math.sign(closingUntil - (tag === "Waiting" ? retryAt : 0))
  const isDue = [attemptUntil, renewAt, drainUntil].map((at) => at !== undefined).concat(model.isTurnedAway)
  return [tag, up, uses, ...isDue, isRejected, until, overdue, failures].join()
}
