/**
 * Services by key: one connection for each key, shared by all who use it, and stopped when nobody does.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { ClientService } from "./ClientService.js"
import { makeFork } from "./internal/fork.js"
import * as Validate from "./internal/options.js"
import { SeriesOfMap } from "./internal/telemetry/seriesOfMap.js"
import { monotonic } from "./internal/time/monotonic.js"
import { sleep } from "./internal/time/sleep.js"
import { steady } from "./internal/time/steady.js"

/**
 * A collection of services by key.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientServiceMap<in out K, out P, out E = never> {
  /**
   * Gives the service of a key, for as long as the Scope of the caller is open. Makes and starts it if there is none,
   * and starts it again if it was stopped or has given up. Once the Scope of the collection is closed, it gives services
   * that are stopped for good.
   *
   * A `lookup` that dies fails those who wait for it, and is tried again by the next `get`.
   */
  readonly get: (key: K) => Effect.Effect<ClientService<P, E>, never, Scope.Scope>
  /**
   * Has the next `get` of a key make a new service. The present one stops at once if nobody uses it, which this waits
   * for, otherwise when its last user is done.
   */
  readonly invalidate: (key: K) => Effect.Effect<void>
  /** The keys that have a service, be it in use or idle. */
  readonly keys: Effect.Effect<ReadonlyArray<K>>
}

/**
 * Makes a collection of services in the Scope of the caller. When that closes, all of them stop.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ClientService, ClientServiceMap, Endpoint } from "effect-client-service"
 *
 * const program = Effect.gen(function* () {
 *   const shards = yield* ClientServiceMap.make({
 *     lookup: (shard: number) =>
 *       ClientService.make({
 *         endpoint: Endpoint.make({ name: `shard ${shard}`, connect: () => Effect.succeed(shard) })
 *       }),
 *     idleTimeToLive: "1 minute"
 *   })
 *   const shard = yield* shards.get(1)
 *   return yield* shard.whenConnected()
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = <K, P, E, R>(options: {
  /**
   * Makes the service of a key, in a Scope of its own. It is interrupted when nobody waits for it any more and
   * `idleTimeToLive` is over. Keys are compared by `Equal`.
   */
  readonly lookup: (key: K) => Effect.Effect<ClientService<P, E>, never, R>
  /** How long a service that nobody uses goes on. Default: it stops at once. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /** What its metrics have as `client_service.map.name`, by which those of several collections are told apart. Default: none. */
  readonly name?: string | undefined
  /**
   * Whether the metrics of each service are told apart by its name and the address of its server. Metrics are kept for ever,
   * so it is for keys that are few. Default false: all of them are counted together.
   */
  readonly metricsByKey?: boolean | undefined
}): Effect.Effect<ClientServiceMap<K, P, E>, never, Exclude<R, Scope.Scope> | Scope.Scope> => {
  const timeToLive = Duration.toMillis(
    Validate.duration("ClientServiceMap.make", "idleTimeToLive", options.idleTimeToLive ?? 0)
  )
  const { name } = options
  if (name !== undefined) Validate.text("ClientServiceMap.make", "name", name)
  return Effect.gen(function* () {
    // In parallel, or services that take their time to close would wait for each other.
    const owner = yield* Effect.flatMap(Effect.scope, (scope) => Scope.fork(scope, ExecutionStrategy.parallel))
    const context = Context.add(yield* Effect.context<Exclude<R, Scope.Scope>>(), SeriesOfMap, {
      name,
      byKey: options.metricsByKey ?? false
    })
    const fork = yield* makeFork<never>()
    const clock = steady(yield* Effect.clock)
    const entries = MutableHashMap.empty<K, Entry<P, E>>()
    // What is being closed. The next service of a key waits for it.
    const closings = MutableHashMap.empty<K, Set<Closing>>()
    let isOpen = true

    // Whatever decides does so and acts on it in one step, since others may come between any two: hence the functions
    // below that give no Effect.

    const remove = (key: K, entry: Entry<P, E>): void => {
      if (isCurrent(entries, key, entry)) MutableHashMap.remove(entries, key)
      cancelExpiry(entry)
    }

    const close = (key: K, entry: Entry<P, E>): Closing => {
      remove(key, entry)
      if (entry.closing !== undefined) return entry.closing
      const all = Option.getOrElse(MutableHashMap.get(closings, key), () => new Set<Closing>())
      MutableHashMap.set(closings, key, all)
      const closing = fork.soon(Effect.zipRight(endLookup(entry), Scope.close(entry.scope, Exit.void)))
      entry.closing = closing
      all.add(closing)
      closing.addObserver(() => {
        all.delete(closing)
        if (all.size === 0) MutableHashMap.remove(closings, key)
      })
      return closing
    }

    const stop = (key: K, entry: Entry<P, E>): Effect.Effect<unknown> => Fiber.await(close(key, entry))

    const whenClosed = <A, R2>(key: K, then: () => Effect.Effect<A, never, R2>): Effect.Effect<A, never, R2> =>
      Effect.suspend(() => {
        const all = Option.getOrUndefined(MutableHashMap.get(closings, key))
        return all === undefined ? then() : Effect.zipRight(Fiber.awaitAll(all), whenClosed(key, then))
      })

    const told = (key: K, entry: Entry<P, E>, exit: Exit.Exit<ClientService<P, E>>): void => {
      entry.lookup = undefined
      if (Exit.isFailure(exit)) close(key, entry)
      Deferred.unsafeDone(entry.service, exit)
    }

    // In a fiber of its own, so that whoever asked first can be interrupted while others wait.
    const lookUp = (key: K, entry: Entry<P, E>): void => {
      const lookup = fork.soon(
        whenClosed(key, () => options.lookup(key)).pipe(
          Scope.extend(entry.scope),
          // Not the services of whoever asked first, such as a span.
          Effect.mapInputContext((_: Context.Context<never>) => context),
          Effect.exit
        )
      )
      entry.lookup = lookup
      lookup.addObserver((exit) => told(key, entry, Exit.flatten(exit)))
    }

    // An entry is there before its service is, so that there is one service however many ask for it.
    const borrow = (key: K): Effect.Effect<Entry<P, E>> =>
      Effect.suspend(() => {
        const entry = Option.getOrUndefined(MutableHashMap.get(entries, key))
        if (entry === undefined) return Effect.flatMap(Scope.fork(owner, ExecutionStrategy.sequential), enter(key))
        entry.users += 1
        return Effect.succeed(entry)
      })

    const enter =
      (key: K) =>
      (scope: Scope.CloseableScope): Effect.Effect<Entry<P, E>> => {
        // Somebody may have come first while this fiber was held up.
        if (MutableHashMap.has(entries, key)) return Effect.zipRight(Scope.close(scope, Exit.void), borrow(key))
        const entry: Entry<P, E> = {
          scope,
          service: Deferred.unsafeMake(FiberId.none),
          users: 1,
          idleUntil: 0,
          lookup: undefined,
          expiry: undefined,
          closing: undefined
        }
        // Nobody is to find it once the owner has closed, who would have nobody to close it.
        if (isOpen) MutableHashMap.set(entries, key, entry)
        lookUp(key, entry)
        return Effect.succeed(entry)
      }

    const giveBack = (key: K, entry: Entry<P, E>): Effect.Effect<unknown> =>
      Effect.suspend(() => {
        entry.users -= 1
        if (entry.users > 0) return Effect.void
        if (timeToLive === 0 || !isOpen || !isCurrent(entries, key, entry)) return stop(key, entry)
        entry.idleUntil = monotonic(clock) + timeToLive
        // One goes on while users come and go, since to fork and to interrupt it for each costs more than all else.
        entry.expiry ??= fork.soon(expire(key, entry))
        return Effect.void
      })

    const expire = (key: K, entry: Entry<P, E>): Effect.Effect<unknown> =>
      Effect.suspend(() => {
        const left = entry.idleUntil - monotonic(clock)
        if (entry.users === 0 && left > 0) return Effect.zipRight(sleep(left), expire(key, entry))
        entry.expiry = undefined
        return entry.users > 0 ? Effect.void : stop(key, entry)
      })

    yield* Scope.addFinalizer(
      owner,
      Effect.suspend(() => {
        isOpen = false
        // The owner closes what is in use. A lookup that somebody waits for goes on, and gives a service that is stopped.
        for (const [key, entry] of Array.from(entries)) {
          if (entry.users === 0) close(key, entry)
          else remove(key, entry)
        }
        // Whoever has asked for them to be closed.
        return Fiber.awaitAll(Array.from(MutableHashMap.values(closings), (all) => [...all]).flat())
      })
    )
    return {
      get: (key) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.scope, (scope) =>
            Effect.flatMap(borrow(key), (entry) =>
              Effect.zipRight(Scope.addFinalizer(scope, giveBack(key, entry)), restore(started(entry)))
            )
          )
        ),
      invalidate: (key) =>
        Effect.suspend(() => {
          const entry = Option.getOrUndefined(MutableHashMap.get(entries, key))
          if (entry?.users === 0) return stop(key, entry)
          if (entry !== undefined) remove(key, entry)
          return Effect.void
        }),
      keys: Effect.sync(() => Array.from(MutableHashMap.keys(entries)))
    }
  })
}

const started = <P, E>({ service }: Entry<P, E>): Effect.Effect<ClientService<P, E>> =>
  Effect.tap(Deferred.await(service), (service) => Effect.unlessEffect(service.start, service.running))

type Closing = Fiber.RuntimeFiber<unknown>

interface Entry<in out P, in out E> {
  readonly scope: Scope.CloseableScope
  readonly service: Deferred.Deferred<ClientService<P, E>>
  users: number
  /** How long it goes on if nobody comes, by `monotonic`. */
  idleUntil: number
  /** What makes the service, until it is made. */
  lookup: Fiber.RuntimeFiber<unknown> | undefined
  /** What stops the service once it has been idle for long enough. */
  expiry: Fiber.RuntimeFiber<unknown> | undefined
  /** What closes the Scope. */
  closing: Closing | undefined
}

const isCurrent = <K, V>(values: MutableHashMap.MutableHashMap<K, V>, key: K, value: V): boolean =>
  Option.getOrUndefined(MutableHashMap.get(values, key)) === value

const endLookup = ({ lookup }: Pick<Entry<never, never>, "lookup">): Effect.Effect<unknown> =>
  lookup === undefined ? Effect.void : Fiber.interrupt(lookup)

const cancelExpiry = (entry: Pick<Entry<never, never>, "expiry">): void => {
  entry.expiry?.unsafeInterruptAsFork(FiberId.none)
  entry.expiry = undefined
}
