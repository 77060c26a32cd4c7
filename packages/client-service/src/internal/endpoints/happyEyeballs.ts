import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { type EndpointFailure, EndpointsFailed } from "../../EndpointsFailed.js"
import { AttemptStatus } from "../connection/attemptStatus.js"
import { originals } from "../connection/originals.js"
import { makeFork } from "../fork.js"
import { Changes } from "../time/changes.js"
import { within } from "../time/within.js"
import type { Connectable, Signal } from "./connectable.js"
import { connectOrLose } from "./connectOrLose.js"
import { type Try, Trying } from "./tries.js"

interface Racer {
  readonly scope: Scope.CloseableScope
  /** Interrupts the racer and closes what it has acquired, once, and waits for both. */
  readonly halt: Effect.Effect<unknown>
}

/**
 * Races the endpoints as RFC 8305 has it: each begins a while after the one before, or as soon as one has failed, and the
 * first to connect wins. Nobody waits for the others: they are interrupted and closed, and what one of them acquires all
 * the same is released at once.
 */
export const race = <A, E, R>(
  endpoints: ReadonlyArray<Connectable<A, E, R>>,
  delay: number,
  signal: Signal<E>
): Effect.Effect<A, EndpointsFailed<E>, R | Scope.Scope> =>
  Effect.gen(function* () {
    const status = yield* AttemptStatus
    const whole = (yield* Trying) ?? status
    const { attend } = status
    const tries: Array<Try> = []
    whole.tries = tries
    const result = yield* Deferred.make<A, EndpointsFailed<E>>()
    const changes = new Changes()
    const failures: Array<EndpointFailure<E>> = []
    const racers: Array<Racer> = []
    let winner: Scope.CloseableScope | undefined
    let end: Exit.Exit<unknown, unknown> = Exit.void

    const failed = (tried: Try, thrown: Cause.Cause<E>) => {
      const cause = originals(thrown)
      tried.cause = cause
      failures.push({ endpoint: tried.endpoint, cause })
      if (failures.length === endpoints.length) Deferred.unsafeDone(result, new EndpointsFailed({ failures }))
      changes.notify()
    }

    // Uninterruptible, or a racer could run that nobody knows of.
    const start = Effect.fnUntraced(function* (endpoint: Connectable<A, E, R>) {
      const scope = yield* Scope.make()
      const tried: Try = { endpoint: endpoint.name }
      tries.push(tried)
      let lost: Parameters<Signal<E>["lost"]> | undefined
      const own: Signal<E> = {
        lost: (...loss) => {
          lost ??= loss
          if (winner === scope) signal.lost(...loss)
        }
      }
      const ended = (exit: Exit.Exit<A, E>): Effect.Effect<void> => {
        if (winner === undefined && Exit.isSuccess(exit)) {
          winner = scope
          whole.tries = tries.filter((each) => each === tried || each.cause !== undefined)
          if (lost !== undefined) signal.lost(...lost)
          Deferred.unsafeDone(result, Effect.succeed(exit.value))
          changes.notify()
          return Effect.void
        }
        if (Exit.isFailure(exit)) failed(tried, exit.cause)
        return Scope.close(scope, exit)
      }
      const fiber = yield* connectOrLose(endpoint, own).pipe(
        Effect.provideService(Scope.Scope, scope),
        Effect.provideService(Trying, tried),
        Effect.interruptible,
        Effect.exit,
        Effect.flatMap(ended),
        Effect.forkDaemon
      )
      attend?.(fiber)
      // A racer may ignore its interruption, so what it has acquired so far does not wait for it.
      const halt = Fiber.interruptFork(fiber).pipe(
        Effect.zipRight(Effect.yieldNow()),
        Effect.zipRight(Effect.suspend(() => Scope.close(scope, end))),
        Effect.zipRight(Fiber.await(fiber)),
        Effect.uninterruptible
      )
      racers.push({ scope, halt: yield* Effect.cached(halt) })
    }, Effect.uninterruptible)

    const halt = (racers: ReadonlyArray<Racer>) =>
      Effect.forEach(racers, (racer) => racer.halt, { concurrency: "unbounded", discard: true })

    yield* Effect.addFinalizer((exit) => {
      end = exit
      return halt(racers)
    })
    const fork = yield* makeFork<never>()
    for (const endpoint of endpoints) {
      const before = failures.length
      yield* start(endpoint)
      const isNextDue = () => winner !== undefined || failures.length > before
      yield* within(fork, delay, isNextDue, changes)
      if (winner !== undefined) break
    }
    const connected = yield* Deferred.await(result)
    yield* Effect.forkDaemon(halt(racers.filter(({ scope }) => scope !== winner)))
    return connected
  })
