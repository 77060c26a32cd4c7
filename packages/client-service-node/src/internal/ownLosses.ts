import type { ConnectionSignal } from "effect-client-service/Endpoint"
import { TransportError } from "effect-client-service/Transport"

/** Tells of the losses of an endpoint, among whose errors is no `Overflow`, as its peer can be held back. */
export const ownLosses =
  <E>({ lost }: ConnectionSignal<E>) =>
  (error?: E | TransportError, detail?: string): void =>
    error instanceof TransportError ? lost(undefined, error.message) : lost(error, detail)
