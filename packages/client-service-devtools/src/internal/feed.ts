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
  readonly begin: Begin
  readonly total: number
  readonly found: number
  readonly shown: ReadonlyArray<Shown>
}

/**
 * What a browser has been told: as little as one needs to know what is new since. It is all that is kept for one that is slow,
 * which gets one update of much and not many.
 */
export interface Told {
  readonly ids: string
  readonly of: string
  readonly services: ReadonlyMap<string, Pick<Shown, "counts"> & { readonly last: Transition }>
}

/** What those have been told who have got an update of a moment. */
export const toldOf = ({ found, shown, total }: Moment): Told => ({
  ids: shown.map(({ id }) => id).join(),
  of: `${found} of ${total}`,
  services: new Map(shown.map(({ counts, id, listed }) => [id, { counts, last: listed.current }]))
})

/** Gives what is new at a moment, if anything is; all, to those who have been told nothing yet. */
export const updateOf = (
  { begin, found, now, shown, total }: Moment,
  { ids, of }: Told,
  told: Told | undefined
): Update | undefined => {
  const isOther = ids !== told?.ids
  const services = shown.flatMap((service) => serviceUpdate(service, told?.services.get(service.id)) ?? [])
  if (!isOther && of === told.of && services.length === 0) return undefined
  return {
    now,
    ...(told === undefined ? { begin } : {}),
    total,
    found,
    ...(isOther ? { ids: shown.map(({ id }) => id) } : {}),
    services
  }
}

type ToldOfService = Told["services"] extends ReadonlyMap<string, infer A> ? A : never

const serviceUpdate = (
  { canCheck, counts, id, listed }: Shown,
  told: ToldOfService | undefined
): ServiceUpdate | undefined => {
  // The states of a service are the same objects in each list.
  const known = told === undefined ? -1 : listed.transitions.lastIndexOf(told.last)
  const transitions = listed.transitions.slice(known + 1)
  if (told !== undefined && transitions.length === 0 && isSame(counts, told.counts)) return undefined
  const { gaps, uses, waiters } = counts
  return { id, name: listed.name, canCheck, waiters, uses, gaps, transitions, isWhole: known === -1 }
}

const isSame = (one: Counts, other: Counts): boolean =>
  one.waiters === other.waiters && one.uses === other.uses && one.gaps === other.gaps
