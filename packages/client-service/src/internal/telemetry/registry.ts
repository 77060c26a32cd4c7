import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Model } from "../service/table.js"
import type { Instruments } from "./instruments.js"

/** What a list can do with a service. */
export interface Listable {
  readonly name: string
  readonly start: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
  readonly reconnect: Effect.Effect<void>
  readonly check: () => Effect.Effect<boolean>
}

/** A place of the list, for a service that is being made. */
export interface Place {
  /** Takes note of what the service does. */
  readonly instruments: Instruments
  readonly register: Register
}

/** Is told of a service that has been made, and gives what is told of all that it enters: of nothing when it is gone. */
export type Register = (service: Listable) => (model: Model<unknown, unknown> | undefined) => void

interface Registering {
  /** Gives a place to a service that this takes note of already, if anything does. */
  readonly place: (instruments: Instruments | undefined) => Place
  readonly isWanted: boolean
}

/**
 * What keeps a list of the services that are made where it is provided, if anything does. A service knows it by this alone,
 * so that a program without such a list carries nothing of it.
 */
export class Registry extends Context.Reference<Registry>()("effect-client-service/Registry", {
  defaultValue: (): Registering | undefined => undefined
}) {}
