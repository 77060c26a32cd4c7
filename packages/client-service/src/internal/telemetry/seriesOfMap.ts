import * as Context from "effect/Context"

/** By what a service is measured that a `ClientServiceMap` has made. */
export interface OfMap {
  /** The name of the collection, if it has one. */
  readonly name: string | undefined
  /** Whether its services are told apart. There may be any number of them. */
  readonly byKey: boolean
}

/** The collection that a service belongs to, if it does to any. */
export class SeriesOfMap extends Context.Reference<SeriesOfMap>()("effect-client-service/SeriesOfMap", {
  defaultValue: (): OfMap | undefined => undefined
}) {}
