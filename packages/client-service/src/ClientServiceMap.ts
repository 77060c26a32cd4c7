/**
 * Services by key: one connection for each key, shared by all who use it, and stopped when nobody does.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { ClientService } from "./ClientService.js"
import * as InvalidOption from "./InvalidOption.js"
import { sleep } from "./internal/sleep.js"

/**
 * A collection of services by key.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientServiceMap<in out K, out P, out E = never> {
  /**
   * Gives the service of a key, for as long as the Scope of the caller is open. Makes and starts it if there is none,
   * and starts it again if it was stopped or has given up.
   */
  readonly get: (key: K) => Effect.Effect<ClientService<P, E>, never, Scope.Scope>
  /**
   * Has the next `get` of a key make a new service. The present one stops at once if nobody uses it, otherwise when its
   * last user is done.
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
  /** Makes the service of a key, in a Scope of its own. Keys are compared by `Equal`. */
  readonly lookup: (key: K) => Effect.Effect<ClientService<P, E>, never, R>
  /** How long a service that nobody uses goes on. Default: it stops at once. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
}): Effect.Effect<ClientServiceMap<K, P, E>, never, Exclude<R, Scope.Scope> | Scope.Scope> => {
  const timeToLive = Duration.toMillis(
    InvalidOption.duration("ClientServiceMap.make", "idleTimeToLive", options.idleTimeToLive ?? 0)
  )
  return Effect.gen(function* () {
    const owner = yield* Effect.scope
    const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
    const entries = MutableHashMap.empty<K, Entry<P, E>>()

    // An entry is there before its service is, so that there is one service however many ask for it.
    const borrow = (key: K) =>
      Effect.flatMap(Scope.make(), (scope) => {
        const present = Option.getOrUndefined(MutableHashMap.get(entries, key))
        if (present !== undefined) {
          present.users += 1
          return Effect.succeed(present)
        }
        const entry: Entry<P, E> = {
          scope,
          service: Deferred.unsafeMake(FiberId.none),
          users: 1,
          expiry: undefined
        }
        MutableHashMap.set(entries, key, entry)
        return options
          .lookup(key)
          .pipe(Scope.extend(scope), Effect.provide(context), Effect.intoDeferred(entry.service), Effect.as(entry))
      })

    const forget = (key: K, entry: Entry<P, E>) => {
      if (Option.contains(MutableHashMap.get(entries, key), entry)) MutableHashMap.remove(entries, key)
      return stop(entry)
    }

    const giveBack = (key: K, entry: Entry<P, E>): Effect.Effect<unknown> =>
      Effect.suspend(() => {
        entry.users -= 1
        if (entry.users > 0) return Effect.void
        const isCurrent = Option.contains(MutableHashMap.get(entries, key), entry)
        if (!isCurrent || timeToLive === 0) return forget(key, entry)
        const expire = Effect.suspend(() => {
          entry.expiry = undefined
          return entry.users > 0 ? Effect.void : forget(key, entry)
        })
        return sleep(timeToLive).pipe(
          Effect.interruptible,
          Effect.zipRight(expire),
          Effect.forkIn(owner),
          Effect.tap((fiber) =>
            Effect.sync(() => {
              entry.expiry = fiber
            })
          )
        )
      })

    yield* Effect.addFinalizer(() =>
      Effect.forEach(MutableHashMap.values(entries), stop, { concurrency: "unbounded", discard: true })
    )
    return {
      get: (key) =>
        Effect.acquireRelease(borrow(key), (entry) => giveBack(key, entry)).pipe(
          Effect.tap((entry) => (entry.expiry === undefined ? Effect.void : Fiber.interrupt(entry.expiry))),
          Effect.flatMap((entry) => Deferred.await(entry.service)),
          Effect.tap((service) => Effect.unlessEffect(service.start, service.running))
        ),
      invalidate: (key) =>
        Effect.suspend(() => {
          const entry = MutableHashMap.get(entries, key)
          MutableHashMap.remove(entries, key)
          return Option.isSome(entry) && entry.value.users === 0 ? stop(entry.value) : Effect.void
        }),
      keys: Effect.sync(() => Array.from(MutableHashMap.keys(entries)))
    }
  })
}

interface Entry<in out P, in out E> {
  readonly scope: Scope.CloseableScope
  readonly service: Deferred.Deferred<ClientService<P, E>>
  users: number
  /** What stops the service once it has been idle for long enough. */
  expiry: Fiber.RuntimeFiber<unknown> | undefined
}

const stop = (entry: Pick<Entry<never, never>, "scope" | "expiry">): Effect.Effect<void> =>
  Effect.zipRight(
    entry.expiry === undefined ? Effect.void : Fiber.interruptFork(entry.expiry),
    Scope.close(entry.scope, Exit.void)
  )
