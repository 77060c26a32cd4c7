import type { Effect } from "effect"

/** A protocol that gives back what it is asked, from a process. */
export interface Asking<out E> {
  readonly pid: number
  readonly login: Effect.Effect<unknown, E>
  readonly ping: Effect.Effect<unknown, E>
  readonly ask: (text: string) => Effect.Effect<string, E>
}
