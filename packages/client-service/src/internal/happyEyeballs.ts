import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { ConnectionSignal, Endpoint } from "../Endpoint.js"
import { type EndpointFailure, EndpointsFailed } from "../EndpointsFailed.js"
import { within } from "./sleep.js"
import { Waiters } from "./waiters.js"

interface Racer {
  readonly scope: Scope.CloseableScope
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
}

/**
 * Races the endpoints as RFC 8305 has it: each begins a while after the one before, or as soon as one has failed, and the
 * first to connect wins. Nobody waits for the others: they are interrupted and closed, and what one of them acquires all
 * the same is released at once.
 */
export const race = <A, E, R>(
  endpoints: ReadonlyArray<Endpoint<A, E, R>>,
  delay: number,
  signal: ConnectionSignal<E>
): Effect.Effect<A, EndpointsFailed<E>, R | Scope.Scope> =>
  Effect.gen(function* () {
    const parent = yield* Effect.scope
    const result = yield* Deferred.make<A, EndpointsFailed<E>>()
    const changes = new Waiters()
    const failures: Array<EndpointFailure<E>> = []
    const racers: Array<Racer> = []
    let winner: Scope.CloseableScope | undefined

    const failed = (endpoint: string, cause: Cause.Cause<E>) => {
      failures.push({ endpoint, cause })
      if (failures.length === endpoints.length) Deferred.unsafeDone(result, new EndpointsFailed({ failures }))
      changes.resumeAll(Effect.void)
    }

    const start = Effect.fnUntraced(function* (endpoint: Endpoint<A, E, R>) {
      const scope = yield* Scope.fork(parent, ExecutionStrategy.sequential)
      let lost: { readonly error: E | undefined } | undefined
      const own: ConnectionSignal<E> = {
        lost: (error) => {
          lost ??= { error }
          if (winner === scope) signal.lost(error)
        }
      }
      const ended = (exit: Exit.Exit<A, E>) => {
        if (Exit.isFailure(exit)) return failed(endpoint.name, exit.cause)
        if (winner !== undefined) return
        winner = scope
        if (lost !== undefined) signal.lost(lost.error)
        Deferred.unsafeDone(result, Effect.succeed(exit.value))
        changes.resumeAll(Effect.void)
      }
      const fiber = yield* Effect.suspend(() => endpoint.connect(own)).pipe(
        Effect.provideService(Scope.Scope, scope),
        Effect.interruptible,
        Effect.onExit((exit) => Effect.sync(() => ended(exit))),
        Effect.exit,
        Effect.forkIn(parent)
      )
      racers.push({ scope, fiber })
    })

    for (const endpoint of endpoints) {
      yield* start(endpoint)
      const before = failures.length
      const isNextDue = () => winner !== undefined || failures.length > before
      yield* within(delay, isNextDue, changes.waitUntil(isNextDue))
      if (winner !== undefined) break
    }
    const connected = yield* Deferred.await(result)
    yield* Effect.forEach(
      racers.filter(({ scope }) => scope !== winner),
      ({ fiber, scope }) => Effect.zipRight(Fiber.interruptFork(fiber), Scope.close(scope, Exit.void)),
      { discard: true }
    ).pipe(Effect.forkIn(parent))
    return connected
  })
