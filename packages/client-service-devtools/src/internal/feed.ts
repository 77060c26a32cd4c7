import type { Counts, Listed, Transition } from "effect-client-service/ClientServices"
import type { Begin, ServiceUpdate, Update } from "./model.js"

/** A service as it is when an update is made. */
export interface Shown {
  readonly id: string
  readonly listed: Listed
  readonly counts: Counts
  readonly canCheck: boolean
}

/** What is told in an update. */
export interface Moment {
  readonly now: number
  readonly total: number
  readonly found: number
  readonly shown: ReadonlyArray<Shown>
}

/**
 * What one browser has been told. An update is what differs from that, whenever it is asked for, so that a browser that is slow
 * gets one update of much and not many, and nothing is kept for it.
 */
export class Feed {
  #begin: Begin | undefined
  #ids: string | undefined
  #of: string | undefined
  #told = new Map<string, Told>()

  constructor(begin: Begin) {
    this.#begin = begin
  }

  /** Gives what is new, if anything is. */
  next({ found, now, shown, total }: Moment): Update | undefined {
    const begin = this.#begin
    const ids = shown.map(({ id }) => id)
    const isOther = ids.join() !== this.#ids
    const of = `${found} of ${total}`
    const services = shown.flatMap((service) => updateOf(service, this.#told.get(service.id)) ?? [])
    if (begin === undefined && !isOther && of === this.#of && services.length === 0) return undefined
    this.#begin = undefined
    this.#ids = ids.join()
    this.#of = of
    this.#told = new Map(shown.map(({ counts, id, listed }) => [id, { counts, last: listed.current }]))
    return { now, ...(begin && { begin }), total, found, ...(isOther && { ids }), services }
  }
}

interface Told {
  readonly counts: Counts
  readonly last: Transition
}

const updateOf = ({ canCheck, counts, id, listed }: Shown, told: Told | undefined): ServiceUpdate | undefined => {
  // The states of a service are the same objects in each list.
  const known = told === undefined ? -1 : listed.transitions.lastIndexOf(told.last)
  const transitions = listed.transitions.slice(known + 1)
  if (told !== undefined && transitions.length === 0 && isSame(counts, told.counts)) return undefined
  const { gaps, uses, waiters } = counts
  return { id, name: listed.name, canCheck, waiters, uses, gaps, transitions, isWhole: known === -1 }
}

const isSame = (one: Counts, other: Counts): boolean =>
  one.waiters === other.waiters && one.uses === other.uses && one.gaps === other.gaps
