import type * as Clock from "effect/Clock"

/** What logs and spans tell of, and by which clock. */
export interface Source {
  readonly service: string
  readonly endpoint: string
  readonly clock: Clock.Clock
}
