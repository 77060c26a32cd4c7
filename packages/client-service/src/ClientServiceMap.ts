/**
 * Services by key: one connection for each key, shared by all who use it, and stopped when nobody does.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
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
import * as InvalidOption from "./InvalidOption.js"
import { makeFork } from "./internal/fork.js"
import { sleep } from "./internal/time/sleep.js"

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
}): Effect.Effect<ClientServiceMap<K, P, E>, never, Exclude<R, Scope.Scope> | Scope.Scope> => {
  const timeToLive = Duration.toMillis(
    InvalidOption.duration("ClientServiceMap.make", "idleTimeToLive", options.idleTimeToLive ?? 0)
  )
  return Effect.gen(function* () {
    // In parallel, or services that take their time to close would wait for each other.
    const owner = yield* Effect.flatMap(Effect.scope, (scope) => Scope.fork(scope, ExecutionStrategy.parallel))
    const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
    const entries = MutableHashMap.empty<K, Entry<P, E>>()
    // What is being closed. The next service of a key waits for it.
    const closings = MutableHashMap.empty<K, Set<Closing>>()

    const fork = yield* makeFork<never>()
    let isOpen = true

    const closingOf = (key: K) => Option.getOrElse(MutableHashMap.get(closings, key), () => new Set<Closing>())

    // As a fiber of the owner, which waits for it, whoever has asked for the stop.
    const close = (key: K, entry: Entry<P, E>) =>
      Effect.tap(Effect.forkIn(Scope.close(entry.scope, Exit.void), owner), (closing) => {
        const all = closingOf(key).add(closing)
        MutableHashMap.set(closings, key, all)
        closing.addObserver(() => {
          all.delete(closing)
          if (all.size === 0) MutableHashMap.remove(closings, key)
        })
      })

    const stop = (key: K, entry: Entry<P, E>): Effect.Effect<unknown> =>
      Effect.suspend(() => {
        remove(entries, key, entry)
        return Effect.uninterruptible(Effect.flatMap(close(key, entry), Fiber.await))
      })

    // In a fiber of its own, so that whoever asked first can be interrupted while others wait.
    const lookUp = (key: K, entry: Entry<P, E>) =>
      Effect.suspend(() =>
        Effect.zipRight(
          Fiber.awaitAll(closingOf(key)),
          Effect.suspend(() => options.lookup(key))
        )
      ).pipe(
        Scope.extend(entry.scope),
        // Not the services of whoever asked first, such as a span.
        Effect.mapInputContext((_: Context.Context<never>) => context),
        Effect.interruptible,
        Effect.exit,
        Effect.flatMap((exit): Effect.Effect<unknown> => {
          if (Exit.isFailure(exit)) remove(entries, key, entry)
          const tell = Deferred.done(entry.service, exit)
          return Exit.isFailure(exit) ? Effect.zipRight(tell, close(key, entry)) : tell
        }),
        Effect.uninterruptible,
        // A Scope that is closed would interrupt it, and with it whoever waits.
        isOpen ? Effect.forkIn(entry.scope) : Effect.forkDaemon
      )

    // An entry is there before its service is, so that there is one service however many ask for it.
    const borrow = (key: K): Effect.Effect<Entry<P, E>> =>
      Effect.suspend(() => {
        const entry = Option.getOrUndefined(MutableHashMap.get(entries, key))
        if (entry === undefined) return Effect.flatMap(Scope.fork(owner, ExecutionStrategy.sequential), enter(key))
        entry.users += 1
        return Effect.as(cancelExpiry(entry), entry)
      })

    const enter =
      (key: K) =>
      (scope: Scope.CloseableScope): Effect.Effect<Entry<P, E>> => {
        // Somebody may have come first while this fiber was held up.
        if (MutableHashMap.has(entries, key)) return Effect.zipRight(Scope.close(scope, Exit.void), borrow(key))
        const entry: Entry<P, E> = { scope, service: Deferred.unsafeMake(FiberId.none), users: 1, expiry: undefined }
        MutableHashMap.set(entries, key, entry)
        return Scope.addFinalizer(scope, cancelExpiry(entry)).pipe(
          Effect.zipRight(lookUp(key, entry)),
          Effect.as(entry)
        )
      }

    const giveBack = (key: K, entry: Entry<P, E>): Effect.Effect<unknown> =>
      Effect.suspend(() => {
        entry.users -= 1
        if (entry.users > 0) return Effect.void
        if (timeToLive === 0 || !isOpen || !isCurrent(entries, key, entry)) return stop(key, entry)
        entry.expiry = fork.soon(Effect.zipRight(sleep(timeToLive), expire(key, entry)))
        return Effect.void
      })

    const expire = (key: K, entry: Entry<P, E>) =>
      Effect.suspend(() => {
        // Somebody may have come just when the time was over.
        if (entry.users > 0) return Effect.void
        entry.expiry = undefined
        return stop(key, entry)
      })

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isOpen = false
        MutableHashMap.clear(entries)
      })
    )
    return {
      get: (key) =>
        Effect.acquireRelease(borrow(key), (entry) => giveBack(key, entry)).pipe(
          Effect.flatMap((entry) => Deferred.await(entry.service)),
          Effect.tap((service) => Effect.unlessEffect(service.start, service.running))
        ),
      invalidate: (key) =>
        Effect.suspend(() => {
          const entry = Option.getOrUndefined(MutableHashMap.get(entries, key))
          if (entry?.users === 0) return stop(key, entry)
          if (entry !== undefined) remove(entries, key, entry)
          return Effect.void
        }),
      keys: Effect.sync(() => Array.from(MutableHashMap.keys(entries)))
    }
  })
}

type Closing = Fiber.Fiber<unknown>

interface Entry<in out P, in out E> {
  readonly scope: Scope.CloseableScope
  readonly service: Deferred.Deferred<ClientService<P, E>>
  users: number
  /** What stops the service once it has been idle for long enough. */
  expiry: Fiber.RuntimeFiber<unknown> | undefined
}

const isCurrent = <K, V>(values: MutableHashMap.MutableHashMap<K, V>, key: K, value: V): boolean =>
  Option.getOrUndefined(MutableHashMap.get(values, key)) === value

const remove = <K, V>(values: MutableHashMap.MutableHashMap<K, V>, key: K, value: V): void => {
  if (isCurrent(values, key, value)) MutableHashMap.remove(values, key)
}

const cancelExpiry = (entry: Pick<Entry<never, never>, "expiry">): Effect.Effect<void> =>
  Effect.sync(() => {
    entry.expiry?.unsafeInterruptAsFork(FiberId.none)
    entry.expiry = undefined
  })
