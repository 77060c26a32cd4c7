import * as Context from "effect/Context"

/**
 * Whether a service has series of its own, by its name and the address of its server. Those of a `ClientServiceMap` have
 * none, since there may be any number of them.
 */
export class OwnSeries extends Context.Reference<OwnSeries>()("effect-client-service/OwnSeries", {
  defaultValue: () => true
}) {}
