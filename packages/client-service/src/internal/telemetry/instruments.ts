import type { Metrics } from "./metrics.js"

/** Who takes note of what a service does. */
export interface Instruments extends Omit<Metrics, "received"> {
  /** Takes note of bytes that were received, if anybody wants to know. It is called by itself. */
  readonly received: Metrics["received"] | undefined
}
