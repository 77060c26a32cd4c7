/**
 * What the page is told.
 */
import type { Transition } from "effect-client-service/ClientServices"

/** What has changed since the last one. The first one on a connection tells everything. */
export interface Update {
  /** The time of the server, in milliseconds, since the clock of the browser may be another. */
  readonly now: number
  /** Only of the first. */
  readonly begin?: Begin
  /** How many services there are. */
  readonly total: number
  /** How many of them are those that the browser looks for. There may be more than are shown. */
  readonly found: number
  /** Those that are shown, in their order, if that has changed. */
  readonly ids?: ReadonlyArray<string>
  /** What has changed of those that are shown. */
  readonly services: ReadonlyArray<ServiceUpdate>
}

export interface Begin {
  readonly title: string
  readonly actions: boolean
}

/** What is told of a service, besides its states. */
export interface ServiceFacts {
  readonly id: string
  readonly name: string
  readonly canCheck: boolean
  readonly waiters: number
  readonly uses: number
  readonly gaps: number
}

export interface ServiceUpdate extends ServiceFacts {
  /** The states that it has entered since the last update; or all that are known, if it has been too many. */
  readonly transitions: ReadonlyArray<Transition>
  /** Whether those are all that are known. */
  readonly isWhole: boolean
}

export type Action = "check" | "reconnect" | "start" | "stop"
