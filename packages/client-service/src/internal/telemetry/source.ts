import type * as Clock from "effect/Clock"
import type { Server } from "./attributes.js"

/** What logs and spans tell of, and by which clock. */
export interface Source {
  readonly service: string
  readonly endpoint: string
  readonly server: Server | undefined
  readonly clock: Clock.Clock
}
