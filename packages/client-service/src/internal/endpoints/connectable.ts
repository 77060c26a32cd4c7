import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** What a combination of endpoints asks of each. An `Endpoint` is one; that module imports those which combine them. */
export interface Connectable<out A, out E, out R> {
  readonly name: string
  readonly connect: (signal: Signal<E>) => Effect.Effect<A, E, R | Scope.Scope>
}

/** How a connection tells that it is lost. */
export interface Signal<in E> {
  readonly lost: (error?: E, detail?: string) => void
}
