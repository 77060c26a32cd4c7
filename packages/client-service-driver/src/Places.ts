/**
 * How many of something callers may have at a time, such as connections of their own.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ClientService, UseOptions } from "effect-client-service/ClientService"
import {
  type ConnectionLost,
  type NotConnected,
  RetriesExhausted,
  ServiceStopped
} from "effect-client-service/ConnectionError"
import type { ConnectionState } from "effect-client-service/ConnectionState"
import { monotonicMillis } from "./Delays.js"

/**
 * So many places with a service. Those who find none free wait in turn, and leave nothing behind if they are interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Places<out Protocol, out E> {
  /**
   * Uses the service (`ClientService.use`) once there is a place, and gives that back in the end. If there is none within
   * `maxWait`, fails with what `overloaded` gives (`late`), or with `NotConnected` where those who have a place wait for a
   * connection too. Where as many wait as may on the connection that there is, fails with `overloaded` at once (`full`). Who waits
   * for a place hears at once that the service stops, or has given up.
   */
  readonly use: <A, E2, R, E3>(
    f: (protocol: Protocol) => Effect.Effect<A, E2, R>,
    maxWait: Duration.Duration,
    overloaded: (protocol: Protocol, why: Why) => E3
  ) => Effect.Effect<A, E2 | E3 | UseError<E>, R>
}

/**
 * Why there was no place: none was free in time, or as many wait for one as may.
 *
 * @since 0.1.0
 * @category models
 */
export type Why = "late" | "full"

/**
 * Makes so many places, which are all free. `maxWaiting` tells of a connection how many may wait for one.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import type { ClientService } from "effect-client-service"
 * import { Places } from "effect-client-service-driver"
 *
 * declare const service: ClientService.ClientService<{ readonly session: Effect.Effect<string> }>
 *
 * const places = Places.make(10, service, () => 100_000)
 *
 * const session = places.use((connection) => connection.session, Duration.seconds(2), (_, why) => `all are taken: ${why}`)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Protocol, E>(
  count: number,
  service: ClientService<Protocol, E>,
  maxWaiting: (protocol: Protocol) => number
): Places<Protocol, E> => {
  const waiting = new Set<() => void>()
  let free = count
  const giveBack = (): void => {
    const [next] = waiting
    if (next === undefined) free += 1
    else next()
  }

  // As of one that waits for a connection: `use` tells of it from the moment on in which a stop begins.
  const ended = service.state.changes.pipe(
    Stream.filterMap((state) => endOf(service.name, state)),
    Stream.runHead,
    Effect.map(Option.getOrElse(() => new ServiceStopped({ service: service.name })))
  )

  /** Waits for a place, from this step on, and gives why there is none. */
  const queued = (maxWait: Duration.Duration) => {
    const told = Deferred.unsafeMake<NoPlace<E> | undefined>(FiberId.none)
    let hasPlace = free > 0
    const tell = (why: NoPlace<E> | undefined): void => {
      waiting.delete(take)
      Deferred.unsafeDone(told, Effect.succeed(why))
    }
    const take = (): void => {
      hasPlace = true
      tell(undefined)
    }
    const leave = (): void => {
      waiting.delete(take)
      if (hasPlace) giveBack()
    }
    if (hasPlace) {
      free -= 1
      return { isGiven: true, leave, place: Effect.succeed(undefined) }
    }
    if (Duration.isZero(maxWait)) return { isGiven: false, leave, place: Effect.succeed("late" as const) }
    waiting.add(take)
    const giveUp = (why: NoPlace<E>) =>
      Effect.sync(() => {
        if (!hasPlace) tell(why)
      })
    const ends = [
      Effect.flatMap(ended, giveUp),
      ...(Duration.isFinite(maxWait) ? [Effect.zipRight(Effect.sleep(maxWait), giveUp("late"))] : [])
    ]
    // No race: that takes a fiber for what is waited for too, and waits until those that lose have ended.
    const place = Effect.acquireUseRelease(
      Effect.forEach(ends, (end) => Effect.forkDaemon(Effect.interruptible(end))),
      () => Deferred.await(told),
      (fibers) => Effect.forEach(fibers, Fiber.interruptFork, { discard: true })
    )
    return { isGiven: false, leave, place }
  }

  return {
    use: <A, E2, R, E3>(
      f: (protocol: Protocol) => Effect.Effect<A, E2, R>,
      maxWait: Duration.Duration,
      overloaded: (protocol: Protocol, why: Why) => E3
    ) => {
      const isBounded = Duration.isFinite(maxWait)
      const now = isBounded ? monotonicMillis : Effect.succeed(0)
      // Where there is no connection, the others wait for one too, which is what to tell.
      const late = service.use((protocol) => Effect.fail(overloaded(protocol, "late")), { maxWait: 0 })
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Effect.zip(now, service.state.get),
          ([since, state]): Effect.Effect<A, E2 | E3 | UseError<E>, R> => {
            const isFull = state._tag === "Connected" && free === 0 && waiting.size >= maxWaiting(state.protocol)
            if (isFull) return Effect.fail(overloaded(state.protocol, "full"))
            const { isGiven, leave, place } = queued(maxWait)
            const all: UseOptions = isBounded ? { maxWait } : {}
            const left =
              isGiven || !isBounded
                ? Effect.succeed(all)
                : Effect.map(now, (now) => ({ maxWait: Math.max(0, Duration.toMillis(maxWait) - (now - since)) }))
            const inPlace = Effect.flatMap(place, (why): Effect.Effect<A, E2 | E3 | UseError<E>, R> => {
              if (why === undefined) return Effect.flatMap(left, (left) => service.use(f, left))
              return why === "late" ? late : Effect.fail(why)
            })
            return Effect.ensuring(restore(inPlace), Effect.sync(leave))
          }
        )
      )
    }
  }
}

type ServiceEnd<E> = ServiceStopped | RetriesExhausted<E>

type UseError<E> = ConnectionLost | NotConnected<E> | ServiceEnd<E>

type NoPlace<E> = "late" | ServiceEnd<E>

const endOf = <Protocol, E>(service: string, state: ConnectionState<Protocol, E>): Option.Option<ServiceEnd<E>> => {
  if (state._tag === "Disconnecting" || state._tag === "Stopped") return Option.some(new ServiceStopped({ service }))
  if (state._tag !== "Exhausted") return Option.none()
  return Option.some(new RetriesExhausted({ service, failures: state.failures, cause: state.cause }))
}
