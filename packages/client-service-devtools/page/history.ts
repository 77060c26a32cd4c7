/**
 * What the page knows of the services.
 */
import type { Transition } from "effect-client-service/ClientServices"
import type { ServiceFacts, ServiceUpdate, Update } from "../src/internal/model.js"

export interface Service extends ServiceFacts {
  readonly current: Transition
  /** The oldest first. More than the program remembers, if the page has been open for long. */
  readonly transitions: ReadonlyArray<Transition>
  /** The class of the last failure that is known, and when it was. */
  readonly lastFailure?: { readonly cause: string; readonly at: number }
}

export interface Known {
  /** In the order of the program. */
  readonly services: ReadonlyArray<Service>
  readonly total: number
  readonly found: number
}

export const nothing: Known = { services: [], total: 0, found: 0 }

/** How many states of a service are kept. */
const most = 2000

/** What is known after an update, and which services have entered another state since. */
export const learn = (
  known: Known,
  update: Update
): { readonly known: Known; readonly changed: ReadonlyArray<Service> } => {
  const services = new Map(known.services.map((service) => [service.id, service]))
  const changed: Array<Service> = []
  for (const news of update.services) {
    const before = services.get(news.id)
    const after = serviceOf(before, news)
    if (after === undefined) continue
    services.set(news.id, after)
    if (before !== undefined && before.current.state !== after.current.state) changed.push(after)
  }
  const ids = update.ids ?? known.services.map(({ id }) => id)
  const { found, total } = update
  return { known: { services: ids.flatMap((id) => services.get(id) ?? []), total, found }, changed }
}

const serviceOf = (before: Service | undefined, { isWhole, ...news }: ServiceUpdate): Service | undefined => {
  const older = before?.transitions ?? []
  const first = news.transitions[0]
  // What the program has forgotten is still known here.
  const kept = isWhole && first !== undefined ? older.filter(({ at }) => at < first.at) : older
  // The same object as long as it is the same, by which others know that there is nothing to do.
  const transitions = news.transitions.length === 0 ? older : [...kept, ...news.transitions].slice(-most)
  const current = transitions[transitions.length - 1]
  if (current === undefined) return undefined
  const failed = transitions.findLast(({ cause, state }) => cause !== undefined && state !== "Connecting")
  return {
    ...news,
    current,
    transitions,
    ...(failed?.cause !== undefined && { lastFailure: { cause: failed.cause, at: failed.at } })
  }
}
